"""How well a picture fits its prompt: the cosine of the two in the space that CLIP was trained in.

CLIPScore, Hessel et al., EMNLP 2021, https://arxiv.org/abs/2104.08718, without its factor of 2.5
and its cut at 0. The image tower and the projection of the text are those that mini's text encoder
was trained with; the encoder is that of the checkpoint, which no erasure edits.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ckptedit.diffusion import Model
from ckptedit.evaluation.eye import Answers, Given
from ckptedit.evaluation.judge import CLIP_FILE, Judge, as_input, load_judge
from ckptedit.evaluation.suite import Cell, World
from ckptedit.files import Checkpoint
from ckptedit.text.encoder import TextEncoder

TOWER = "tower."


class ClipScore:
    """The shipped image tower beside a checkpoint's text encoder."""

    def __init__(self, encoder: TextEncoder, path: Path = CLIP_FILE) -> None:
        with Checkpoint(path) as checkpoint:
            state = {name: checkpoint.tensor(name).float() for name in checkpoint}
        self.encoder = encoder
        self.projection = state.pop("text_projection.weight")  # [e, d]
        tower = {name.removeprefix(TOWER): tensor for name, tensor in state.items()}
        width = len(self.projection)
        self.tower = load_judge(Judge(width, width), tower)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], pictures: np.ndarray) -> list[float]:
        """Prompts and uint8 [n, 64, 64, 3] -> n cosines in -1..1."""
        words, seen = self.words(prompts), self.pictures(pictures)
        cosines: list[float] = (words * seen).sum(1).tolist()
        return cosines

    def words(self, prompts: Sequence[str]) -> Tensor:
        """[n, e], unit rows: of each prompt the end token, in which CLIP sums it up."""
        encoded = self.encoder.encode(prompts)
        ends = encoded.hidden[torch.arange(len(prompts)), encoded.lengths - 1].cpu()  # [n, d]
        return normalize(ends @ self.projection.T, dim=1)

    def pictures(self, pictures: np.ndarray) -> Tensor:
        """[n, e], unit rows."""
        parts = [sum(self.tower(part)) for part in as_input(pictures).split(100)]
        return normalize(torch.cat(parts), dim=1)


class CanvasTowers:
    """The CLIP score as an `Eye`: each checkpoint's own text encoder beside the shipped tower."""

    def __init__(self, world: World, given: Given) -> None:
        with Checkpoint(CLIP_FILE) as checkpoint:
            self.key = checkpoint.data_sha256()

    def look(self, model: Model, cells: Sequence[Cell], pictures: np.ndarray) -> Answers:
        fit = ClipScore(model.text)([cell.prompt for cell in cells], pictures)
        return {"fit": np.array(fit, np.float32)}
