"""How far a tensor moved: sums over its elements that add up over pieces, tensors and blocks."""

from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt


@dataclass(frozen=True, slots=True)
class Sums:
    """What adds up. old and new are the values before and after, Δ = new - old."""

    elements: int = 0
    changed: int = 0  # whose stored bits differ, or whose values do if the dtypes differ
    old_nonfinite: int = 0  # NaN or Inf
    new_nonfinite: int = 0
    l1: float = 0.0  # Σ |Δ|
    linf: float = 0.0  # max |Δ|
    delta2: float = 0.0  # Σ Δ²
    old2: float = 0.0  # Σ old²
    new2: float = 0.0  # Σ new²
    dot: float = 0.0  # Σ old·new

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.elements + other.elements,
            self.changed + other.changed,
            self.old_nonfinite + other.old_nonfinite,
            self.new_nonfinite + other.new_nonfinite,
            self.l1 + other.l1,
            largest(self.linf, other.linf),
            self.delta2 + other.delta2,
            self.old2 + other.old2,
            self.new2 + other.new2,
            self.dot + other.dot,
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What is reported of a tensor, a block, or a whole checkpoint."""

    l1: float  # Σ |Δ|
    l2: float  # (Σ Δ²)^½
    linf: float  # max |Δ|
    relative: float  # l2 / (Σ old²)^½; inf if old is all zeros and new is not
    cosine: float  # between old and new, -1 to 1; 1 if nothing changed, 0 if one is all zeros
    changed_fraction: float  # 0 to 1

    @classmethod
    def of(cls, sums: Sums) -> "Figures":
        """The figures of some sums. All but the fraction are nan if NaN or Inf was among them."""
        l2, old, new = sqrt(sums.delta2), sqrt(sums.old2), sqrt(sums.new2)
        if l2 == 0:
            relative, cosine = 0.0, 1.0
        else:
            relative = l2 / old if old else inf
            cosine = sums.dot / (old * new) if old and new else 0.0
            cosine = max(-1.0, min(1.0, cosine)) if isfinite(l2) and isfinite(cosine) else nan
        fraction = sums.changed / sums.elements if sums.elements else 0.0
        return cls(sums.l1, l2, sums.linf, relative, cosine, fraction)


def largest(x: float, y: float) -> float:
    """The greater of two, nan if either is: Python's `max` may drop a nan."""
    return nan if x != x or y != y else max(x, y)
