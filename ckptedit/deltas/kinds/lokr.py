"""LoKr: ΔW = alpha / r · w1 ⊗ w2, a Kronecker product whose factors may have low rank themselves.

Yeh et al., Navigating Text-To-Image Customization: From LyCORIS Fine-Tuning to Model Evaluation,
2023, https://arxiv.org/abs/2309.14859, section 3. w1 is [a, b] and w2 [c, d, *k], for a weight
[a c, b d, *k]. r is the rank of the factor that has one; if neither has, alpha counts for nothing.
Departs from `get_diff_weight` in lycoris-lora 4.1.3, with which weights are merged, in that the
scale counts once, as in that package's forward pass and in ComfyUI; there it counts twice.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Float64
from ckptedit.deltas.kinds.kind import Kind, Parts, Shape, product, through, tucker
from ckptedit.deltas.rows import BaseRows, cut


@dataclass(frozen=True)
class Kronecker:
    """small [a, b] ⊗ large [c, d], times a scale; what stands behind d, too, is flattened."""

    small: NDArray[Any]
    large: NDArray[Any]
    scale: float

    def stretch(self, start: int, stop: int) -> Float64:
        return cut(self._rows, self.small.shape[1] * self.large.shape[1], start, stop)

    def _rows(self, first: int, last: int) -> Float64:
        outer, inner = np.divmod(np.arange(first, last), len(self.large))
        left = self.small[outer].astype(np.float64)[:, :, None]
        right = self.large[inner].astype(np.float64)[:, None, :] * self.scale
        return (left * right).reshape(last - first, -1)


def _factor(parts: Parts, whole: str, core: str = "") -> Shape | None:
    a, b = f"{whole}_a", f"{whole}_b"
    if (whole in parts) == (a in parts) or (a in parts) != (b in parts):
        return None
    if whole in parts:
        return None if core in parts else parts.shape(whole)
    if core in parts:
        return tucker(parts.shape(core), parts.shape(a), parts.shape(b))
    return product(parts.shape(a), parts.shape(b))


def _shape(parts: Parts) -> Shape | None:
    small, large = _factor(parts, "kw1"), _factor(parts, "kw2", "kt2")
    if small is None or large is None or len(small) != 2 or len(large) < 2:
        return None
    ranks = {parts.shape(part)[0] for part in ("kw1_b", "kw2_b") if part in parts}
    if len(ranks) > 1 or 0 in (*small, *large):
        return None
    return (small[0] * large[0], small[1] * large[1], *large[2:])


def _change(parts: Parts, weight: BaseRows) -> Kronecker:
    ranks = [parts.shape(part)[0] for part in ("kw1_b", "kw2_b") if part in parts]
    scale = parts.scale(ranks[0] if ranks else None)
    return Kronecker(_values(parts, "kw1"), _values(parts, "kw2"), scale)


def _values(parts: Parts, whole: str) -> NDArray[Any]:
    if whole in parts:
        return parts.matrix(whole)
    a, b = parts.matrix(f"{whole}_a"), parts.matrix(f"{whole}_b")
    if whole == "kw2" and "kt2" in parts:
        a, b = a.T, through(parts.values("kt2"), b)
    return a.astype(np.float64) @ b.astype(np.float64)


LOKR = Kind(
    "lokr",
    frozenset({"kw1", "kw1_a", "kw1_b", "kw2", "kw2_a", "kw2_b", "kt2"}),
    _shape,
    _change,
)
