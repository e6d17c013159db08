"""What guards have in common that hold weights near a centre: where they were."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Literal

from torch import Generator, Tensor

from ckptedit.guards.guard import Guard, Setting

Around = Annotated[
    Literal["start", "original"],
    "the weights before this edit, or before all of them (--from-original)",
]
Norm = Annotated[Literal["mean", "sum"], "over all weights together"]


class Centred(Guard):
    """Compares the weights with a copy of them (SD1.5: 77 MB, SDXL: 1.4 GB)."""

    def __init__(self, weight: float, around: str) -> None:
        self.weight, self.around = weight, around
        self.needs_original = bool(weight) and around == "original"

    def remember(self, setting: Setting) -> None:
        """Called at the start: takes the copy."""
        self.weights = setting.weights
        at = setting.original if self.around == "original" else setting.weights
        assert at is not None  # needs_original
        self.centre = {n: at[n].detach().clone().to(w) for n, w in setting.weights.items()}
        self.count = sum(weight.numel() for weight in setting.weights.values())
        self.zero = next(iter(setting.weights.values())).new_zeros(())

    def changes(self) -> Iterator[tuple[str, Tensor]]:
        """name, θ - θ₀ [out, d]"""
        for name, weight in self.weights.items():
            yield name, weight - self.centre[name]


class UpdateNorm(Centred):
    """λ times the size of all changes together."""

    idle = "weight=0"

    def __init__(self, weight: float, around: str, norm: str) -> None:
        super().__init__(weight, around)
        self.norm = norm

    @abstractmethod
    def size(self, change: Tensor) -> Tensor:
        """Of each weight's change, [out, d]."""

    def start(self, setting: Setting) -> None:
        self.remember(setting)

    def penalty(self, rng: Generator) -> Tensor | None:
        if not self.weight:
            return None
        total = sum((self.size(change).sum() for _, change in self.changes()), self.zero)
        return self.weight * (total / self.count if self.norm == "mean" else total)
