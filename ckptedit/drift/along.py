"""How much of a drift lies in a subspace of the text embeddings, and how much outside of it.

A K/V weight [out, d] reads embeddings, so a change Δ of it acts where its rows lie: of a subspace
with the basis B [r, d], ‖Δ Bᵀ‖² of ‖Δ‖² is inside.
"""

from dataclasses import asdict, dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.drift.comparison import Comparison
from ckptedit.errors import BadCheckpoint, Incompatible
from ckptedit.families import Family, kv_weights
from ckptedit.families.kv import KV
from ckptedit.files import Checkpoint, escape
from ckptedit.progress import Track, silent
from ckptedit.subspaces.basis import Basis


@dataclass(frozen=True)
class Inside:
    """inside, outside: shares of ‖Δ‖², which add up to 1, nan where nothing changed; moved:
    ‖Δ Bᵀ‖ / ‖W Bᵀ‖, how far what lies inside moved"""

    inside: float
    outside: float
    moved: float

    @classmethod
    def of(cls, inside: float, total: float, before: float) -> "Inside":
        """From sums of squares: of Δ Bᵀ, Δ and W Bᵀ."""
        share = inside / total if total else nan
        return cls(share, 1 - share, (inside / before) ** 0.5 if before else nan)


@dataclass(frozen=True)
class Along:
    """The drift of all K/V weights along a basis, and of each that changed, by its name."""

    basis: Basis
    total: Inside
    tensors: dict[str, Inside]

    def as_dict(self) -> dict[str, Any]:
        rank, dim = self.basis.rows.shape
        return {
            "basis": self.basis.label,
            "concepts": list(self.basis.concepts),
            "rank": rank,
            "dim": dim,
            "total": asdict(self.total),
            "tensors": [{"name": name, **asdict(part)} for name, part in self.tensors.items()],
        }


def along(
    comparison: Comparison,
    old: Checkpoint,
    new: Checkpoint,
    family: Family,
    basis: Basis,
    *,
    track: Track = silent,
) -> Along:
    """Measures each K/V weight that was compared. Raises what `compared_kv` and `pair` raise."""
    sums: dict[str, list[float]] = {}
    rows = basis.rows.astype(np.float64)
    for weight in track(compared_kv(comparison, old, family), "measuring along the basis"):
        before, after = pair(weight, old, new)
        change = after - before
        parts = (change @ rows.T, change, before @ rows.T)
        sums[weight.name] = [float(np.square(part).sum()) for part in parts]
    total = Inside.of(*map(sum, zip(*sums.values(), strict=True)))
    return Along(basis, total, {name: Inside.of(*s) for name, s in sums.items() if s[1]})


def compared_kv(comparison: Comparison, old: Checkpoint, family: Family) -> list[KV]:
    """The K/V weights among the tensors that were compared. Raises Incompatible if none was."""
    compared = {tensor.name for tensor in comparison.tensors}
    found = [weight for weight in kv_weights(old, family) if weight.name in compared]
    if not found:
        raise Incompatible(
            f"no cross-attention K/V weight of {old.label} is compared: --along and --words are "
            "about those; leave out --keys, or give whole checkpoints"
        )
    return found


def pair(
    weight: KV, old: Checkpoint, new: Checkpoint
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A weight before and after, [out, d] float64. Raises BadCheckpoint for NaN and Inf."""
    found = [side.values(weight.name).astype(np.float64) for side in (old, new)]
    for side, values in zip((old, new), found, strict=True):
        if not np.isfinite(values).all():
            raise BadCheckpoint(
                f"{side.label}: {escape(weight.name)} holds NaN or Inf, which is nowhere; leave "
                "out --along and --words"
            )
    return found[0], found[1]
