"""LoRA and LoCon: ΔW = alpha / r · up @ down; with a core for convolutions, up ×₁ mid ×₂ down.

Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021,
https://arxiv.org/abs/2106.09685, equation 3; the core is LyCORIS' (Yeh et al., Navigating
Text-To-Image Customization, 2023, https://arxiv.org/abs/2309.14859, section 3).
"""

from math import prod

from ckptedit.deltas.change import LowRank
from ckptedit.deltas.kinds.kind import Kind, Parts, Shape, product, through, tucker
from ckptedit.deltas.rows import BaseRows


def _shape(parts: Parts) -> Shape | None:
    if "up" not in parts or "down" not in parts:
        return None
    up, down = parts.shape("up"), parts.shape("down")
    if "mid" not in parts:
        return product(up, down)
    if len(up) < 2 or prod(up[2:]) * prod(down[2:]) != 1:
        return None
    return tucker(parts.shape("mid"), (up[1], up[0]), down[:2])


def _change(parts: Parts, weight: BaseRows) -> LowRank:
    up, down = parts.matrix("up"), parts.matrix("down")
    scale = parts.scale(len(down))
    if "mid" in parts:
        down = through(parts.values("mid"), down)
    return LowRank(up, down, scale)


LORA = Kind("lora", frozenset({"up", "down", "mid"}), _shape, _change)
