"""What a merge is to do, resolved and checked before any tensor is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ckptedit.errors import BadParam, Incompatible
from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.merging.blocks import expand
from ckptedit.merging.methods import METHODS
from ckptedit.params import defaults, hyperparameters, typed

Extra = Literal["error", "keep", "drop"]
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Recipe:
    """A merge: θ = θ₀ + scale · block factor · method(τ₁ ... τₙ).

    method:  a name in METHODS
    params:  its hyperparameters, as values or as text
    weights: one per edit; none stands for all 1
    scale:   any number; negative takes away
    blocks:  block name, or a pattern of some -> factor (`blocks.py`); 1 for blocks not named
    keys:    patterns of the tensors that are merged (`globs.py`); none stands for all
    extra:   what to do about tensors that an edit has and the base has not
    saturate: whether values beyond their stored dtype become its largest; else they are an error
    allow_nonfinite: whether tensors that are only copied may hold NaN or Inf
    seed:    of methods that draw random numbers
    threads: 1 or more; the result does not depend on it
    """

    method: str = "ties"
    params: Mapping[str, Any] = field(default_factory=dict)
    weights: Sequence[float] = ()
    scale: float = 1.0
    blocks: Mapping[str, float] = field(default_factory=dict)
    keys: Sequence[str] = ()
    extra: Extra = "error"
    allow_nonfinite: bool = False
    saturate: bool = False
    seed: int | None = None
    threads: int = 2

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise BadParam(f"threads must be 1 or more, got {self.threads}")
        if self.extra not in ("error", "keep", "drop"):
            raise BadParam(f"extra must be error, keep or drop, got {self.extra!r}")
        numbers = {"scale": [self.scale], "weights": self.weights, "blocks": self.blocks.values()}
        for name, values in numbers.items():
            if not all(abs(value) <= LARGEST for value in values):
                raise BadParam(
                    f"{name} must be finite numbers, up to {LARGEST:.2g}, got {list(values)}"
                )

    def resolved_params(self) -> dict[str, Any]:
        """All hyperparameters of the method, defaults spelled out.

        Raises UnknownName or BadParam.
        """
        method = METHODS[self.method]
        given = dict(self.params)
        if self.seed is not None:
            if "seed" not in hyperparameters(method):
                raise BadParam(f"{self.method} draws no random numbers and takes no seed")
            given["seed"] = self.seed
        params = defaults(method) | typed(method, given, self.method)
        resolve = getattr(method, "resolve", None)
        return resolve(**params) if resolve else params

    def resolved_weights(self, edits: int) -> tuple[float, ...]:
        """One weight per edit. Raises BadParam if their number is not that of the edits."""
        if self.weights and len(self.weights) != edits:
            raise BadParam(f"{edits} edits need {edits} weights, got {len(self.weights)}")
        return tuple(float(weight) for weight in self.weights) or (1.0,) * edits

    def try_out(self, edits: int) -> None:
        """Runs the method on task vectors of zeros, so that it says what it does not accept.

        Raises BadParam, also if a factor does not fit into float32, and UnknownName.
        """
        weights, params = self.resolved_weights(edits), self.resolved_params()
        grams = np.repeat(np.eye(2)[None], edits, axis=0)
        stack = ArrayStack(np.zeros((edits, 2, 2)), weights, grams=grams)
        try:
            with np.errstate(all="ignore"):
                merged = merge_arrays(METHODS[self.method], stack, **params)
        except Incompatible:  # it wants tensors of another kind
            return
        if not np.isfinite(merged).all():  # Inf times 0 is NaN
            factors = {"weights": list(weights)} | params
            given = ", ".join(f"{name}={value}" for name, value in factors.items())
            raise BadParam(f"a factor of {self.method} goes beyond float32 with {given}")

    def shares(self, edits: int) -> Sequence[float]:
        """What each edit is multiplied by; only the sign is exact: above 0 if the method adds it,
        below if it takes it away. Raises what a wrong recipe raises."""
        shares = getattr(METHODS[self.method], "shares", None)
        weights = self.resolved_weights(edits)
        return shares(weights, **self.resolved_params()) if shares else weights

    def options(self, edits: int) -> dict[str, Any]:
        """What the ledger and the report say; the number of threads is not among it."""
        return {
            "method": self.method,
            "params": self.resolved_params(),
            "weights": list(self.resolved_weights(edits)),
            "scale": self.scale,
            **({"blocks": expand(self.blocks)} if self.blocks else {}),
            **({"keys": list(self.keys)} if self.keys else {}),
            **({"extra": self.extra} if self.extra != "error" else {}),
            **({"saturate": True} if self.saturate else {}),
        }
