"""What an edit of the K/V weights did, on prompts that nothing was built from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Protection:
    """How well the guards' directions separate what stays from what goes; shares in 0..1.

    leak:     ‖ΔW - ΔW Q Qᵀ‖ / ‖ΔW‖, what of the change lies where nothing may move
    stored:   the same after rounding to the stored dtype
    coverage: share of held-out retained prompts' token energy that the change cannot reach
    room:     share of held-out target prompts' token energy that it can reach
    """

    leak: float
    stored: float
    coverage: float
    room: float


def protection(
    directions: Tensor | None,
    exact: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    retain: Tensor,
    target: Tensor,
) -> Protection | None:
    """None if the guards leave all directions free.

    directions: Q [d, k], orthonormal columns; exact, stored: ΔW [out, d] before and after rounding
    retain, target: token embeddings [n, L, d] of held-out prompts
    """
    if directions is None:
        return None
    reach = directions.double().cpu()
    return Protection(
        leak=_outside(exact, reach),
        stored=_outside(stored, reach),
        coverage=1 - _share(retain, reach),
        room=_share(target, reach),
    )


def kv_change(weights: Mapping[str, Tensor], deltas: Mapping[str, Tensor], tokens: Tensor) -> float:
    """‖ΔW e‖ / ‖W e‖ over all weights and all tokens [n, L, d], root mean square."""
    flat = tokens.flatten(0, 1).float().cpu()

    def energy(matrices: Mapping[str, Tensor]) -> float:
        return sum(float((flat @ w.float().T).double().square().sum()) for w in matrices.values())

    return _ratio(energy(deltas), energy(weights))


def relative_drift(weights: Mapping[str, Tensor], deltas: Mapping[str, Tensor]) -> float:
    """‖ΔW‖ / ‖W‖ over all edited weights."""
    moved = sum(float(delta.double().square().sum()) for delta in deltas.values())
    before = sum(float(weights[name].double().square().sum()) for name in deltas)
    return _ratio(moved, before)


def _ratio(part: float, whole: float) -> float:
    """The ratio of two norms given their squares; nan of nothing."""
    return float((part / whole) ** 0.5) if whole > 0 else float("nan")


def second_moment(tokens: Tensor) -> Tensor:
    """The mean of e eᵀ over all tokens [n, L, d]: [d, d] float32, on the CPU."""
    flat = tokens.flatten(0, 1).double().cpu()
    return (flat.T @ flat / len(flat)).float()


def _outside(deltas: Mapping[str, Tensor], reach: Tensor) -> float:
    whole = torch.cat([delta.double() for delta in deltas.values()])  # [rows, d]
    norm = whole.norm()
    return float((whole - whole @ reach @ reach.T).norm() / norm) if norm > 0 else 0.0


def _share(tokens: Tensor, reach: Tensor) -> float:
    flat = tokens.flatten(0, 1).double().cpu()
    return float((flat @ reach).square().sum() / flat.square().sum())
