"""A tower for pictures and one for words, into one space: the CLIP score and zero-shot classes.

Radford et al., 2021, https://arxiv.org/abs/2103.00020.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ckptedit.concepts.templates import ALONE_FRAMES, fill
from ckptedit.diffusion import Model
from ckptedit.errors import BadParam
from ckptedit.evaluation.eye import Answers, Given
from ckptedit.evaluation.suite import Cell, World

CPU = torch.device("cpu")


class Towers(ABC):
    """An `Eye`. key: a digest of the weights; name: what the features are called"""

    key: str
    name: str
    size: int | None = None  # of the pictures that it takes; None: any

    @abstractmethod
    def words(self, model: Model, prompts: Sequence[str]) -> Tensor:
        """[n, e], unit rows, on the CPU. model: the checkpoint whose pictures are looked at"""

    @abstractmethod
    def embed(self, pictures: np.ndarray, device: torch.device = CPU) -> Tensor:
        """uint8 [n, h, w, 3] -> [n, e] on the CPU, as the tower puts them out."""

    def look(self, model: Model, cells: Sequence[Cell], pictures: np.ndarray) -> Answers:
        seen = self.embed(pictures, model.device)
        fit = (normalize(seen, dim=1) * self.words(model, [c.prompt for c in cells])).sum(1)
        return {"fit": fit.numpy(), "features": seen.numpy()}


class ZeroShot:
    """A judge made of towers: the class whose sentences are nearest to the picture.

    A class is the mean direction of its name in the frames for a concept alone, as Radford et al.
    have it (section 3.1.4).
    """

    def __init__(self, world: World, towers: Towers) -> None:
        self.world, self.towers = world, towers
        self.key = f"zero-shot {towers.key} {world.styles} {world.objects}"
        self._of: Model | None = None  # whose words the classes are of
        self._classes: dict[str, Tensor] = {}

    def look(self, model: Model, cells: Sequence[Cell], pictures: np.ndarray) -> Answers:
        if self._of is not model:
            names = {"style": self.world.styles, "object": self.world.objects}
            self._classes = {kind: self._read(model, kind, of) for kind, of in names.items()}
            self._of = model
        seen = normalize(self.towers.embed(pictures, model.device), dim=1)
        return {kind: (seen @ rows.T).argmax(1).numpy() for kind, rows in self._classes.items()}

    def _read(self, model: Model, kind: str, names: Sequence[str]) -> Tensor:
        """[classes, e], unit rows."""
        frames = ALONE_FRAMES[kind]
        said = [fill(frame, **{kind: name.replace("_", " ")}) for name in names for frame in frames]
        rows = self.towers.words(model, said).view(len(names), len(frames), -1)
        return normalize(torch.mean(rows, 1), dim=1)


def zero_shot(world: World, given: Given, towers: Towers | None) -> ZeroShot:
    """Raises BadParam if there are no towers."""
    if towers is None:
        raise BadParam("the judge clip takes its weights from a folder: --clip DIR")
    return ZeroShot(world, towers)
