"""LoHa: ΔW = alpha / r · (w1_a @ w1_b) ⊙ (w2_a @ w2_b), each factor with a core for convolutions.

Hyeon-Woo et al., FedPara: Low-Rank Hadamard Product, 2021, https://arxiv.org/abs/2108.06098,
propositions 1 and 3, as LyCORIS has it (https://arxiv.org/abs/2309.14859, section 3).
"""

from dataclasses import dataclass

from ckptedit.deltas.change import Float64, LowRank
from ckptedit.deltas.kinds.kind import Kind, Parts, Shape, product, through, tucker
from ckptedit.deltas.rows import BaseRows


@dataclass(frozen=True)
class Hadamard:
    """The product of two changes [out, in], entry by entry, times a scale."""

    first: LowRank
    second: LowRank
    scale: float

    def stretch(self, start: int, stop: int) -> Float64:
        return self.first.stretch(start, stop) * self.second.stretch(start, stop) * self.scale


def _half(parts: Parts, number: int) -> Shape | None:
    a, b, core = f"w{number}_a", f"w{number}_b", f"t{number}"
    if a not in parts or b not in parts:
        return None
    if core in parts:
        return tucker(parts.shape(core), parts.shape(a), parts.shape(b))
    return product(parts.shape(a), parts.shape(b))


def _shape(parts: Parts) -> Shape | None:
    halves = [_half(parts, number) for number in (1, 2)]
    same = halves[0] == halves[1] and ("t1" in parts) == ("t2" in parts)
    if not same or halves[0] is None or parts.shape("w1_b")[0] != parts.shape("w2_b")[0]:
        return None
    return halves[0]


def _change(parts: Parts, weight: BaseRows) -> Hadamard:
    scale = parts.scale(parts.shape("w1_b")[0])
    return Hadamard(_factors(parts, 1), _factors(parts, 2), scale)


def _factors(parts: Parts, number: int) -> LowRank:
    up, down = parts.matrix(f"w{number}_a"), parts.matrix(f"w{number}_b")
    if f"t{number}" in parts:
        return LowRank(up.T, through(parts.values(f"t{number}"), down))
    return LowRank(up, down)


LOHA = Kind("loha", frozenset({"w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2"}), _shape, _change)
