"""How well a picture fits its prompt: the cosine of the two in the space that CLIP was trained in.

CLIPScore, Hessel et al., EMNLP 2021, https://arxiv.org/abs/2104.08718, without its factor of 2.5
and its cut at 0. The image tower and the projection of the text are those that mini's text encoder
was trained with; the encoder is that of the checkpoint, which no erasure edits.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ckptedit.diffusion import Model
from ckptedit.evaluation.eye import Given
from ckptedit.evaluation.judge import CLIP_FILE, Judge, as_input, load_judge
from ckptedit.evaluation.suite import World
from ckptedit.evaluation.towers import CPU, Towers
from ckptedit.files import Checkpoint
from ckptedit.text.encoder import TextEncoder

TOWER = "tower."


class ClipScore:
    """The shipped image tower beside a checkpoint's text encoder."""

    def __init__(self, encoder: TextEncoder, shipped: "Shipped | None" = None) -> None:
        self.encoder = encoder
        self.shipped = shipped or load_shipped()

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
        return normalize(ends @ self.shipped.projection.T, dim=1)

    def pictures(self, pictures: np.ndarray) -> Tensor:
        """[n, e], unit rows."""
        return normalize(self.shipped.embed(pictures), dim=1)


class Shipped(NamedTuple):
    """What of mini's CLIP no checkpoint holds. projection: of the text, [e, d]"""

    projection: Tensor
    tower: Judge

    @torch.no_grad()
    def embed(self, pictures: np.ndarray) -> Tensor:
        """uint8 [n, 64, 64, 3] -> [n, e]"""
        return torch.cat([sum(self.tower(part)) for part in as_input(pictures).split(100)])


def load_shipped(path: Path = CLIP_FILE) -> Shipped:
    with Checkpoint(path) as checkpoint:
        state = {name: checkpoint.tensor(name).float() for name in checkpoint}
    projection = state.pop("text_projection.weight")
    tower = {name.removeprefix(TOWER): tensor for name, tensor in state.items()}
    return Shipped(projection, load_judge(Judge(len(projection), len(projection)), tower))


class CanvasTowers(Towers):
    """The CLIP score as an `Eye`: each checkpoint's own text encoder beside the shipped tower."""

    name, size = "mini's image tower", 64

    def __init__(self, world: World, given: Given) -> None:
        with Checkpoint(CLIP_FILE) as checkpoint:
            self.key = checkpoint.data_sha256()

    def words(self, model: Model, prompts: Sequence[str]) -> Tensor:
        return ClipScore(model.text, self._shipped).words(prompts)

    def embed(self, pictures: np.ndarray, device: torch.device = CPU) -> Tensor:
        return self._shipped.embed(pictures)

    @cached_property
    def _shipped(self) -> Shipped:
        return load_shipped()
