"""What an edit of the weights did, on prompts that nothing was built from."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from ckptedit.deltas.change import patched
from ckptedit.erasure.method import Edits
from ckptedit.files import Checkpoint, decode
from ckptedit.subspaces.subspace import second_moment


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


@dataclass(frozen=True)
class Effect:
    """What an edit did to the weights as stored.

    drift:      ‖ΔW‖ / ‖W‖ over all edited weights
    target, retain: ‖ΔW e‖ / ‖W e‖ over all weights and tokens e of held-out prompts, root mean
                square, with ‖W e‖² summed as ‖W Rᵀ‖², RᵀR the sum of e eᵀ
    protection: None if all directions are free
    """

    drift: float
    target: float
    retain: float
    protection: Protection | None


def measure(
    checkpoint: Checkpoint,
    edits: Edits,
    directions: Tensor | None,
    *,
    target: Tensor,
    retain: Tensor,
) -> Effect:
    """Measures one tensor after the other, so that a large model's edit fits beside it.

    edits:      of tensors [out, d]
    directions: Q [d, k], orthonormal columns, that the edit was confined to; None if to none
    target, retain: [n, L, d], what the weights read of held-out prompts
    """
    told = {"target": _root(target), "retain": _root(retain)}
    reach = None if directions is None else directions.double().cpu()
    sums: defaultdict[str, float] = defaultdict(float)
    for name, change in edits.items():
        info, raw = checkpoint[name], checkpoint.raw(name)
        before = _matrix(decode(raw, info.dtype), info.shape)
        after = _matrix(decode(patched(raw, info, change, 1), info.dtype), info.shape)
        exact, stored = _matrix(change.stretch(0, info.numel), info.shape), after - before
        sums["stored"] += float(stored.square().sum())
        sums["before"] += float(before.square().sum())
        for kind, rows in told.items():
            sums[f"{kind} moved"] += float((stored @ rows.T).square().sum())
            sums[f"{kind} before"] += float((before.float() @ rows.T.float()).square().sum())
        if reach is not None:
            sums["exact"] += float(exact.square().sum())
            sums["leak"] += _outside(exact, reach)
            sums["stored leak"] += _outside(stored, reach)
    return Effect(
        drift=_ratio(sums["stored"], sums["before"]),
        target=_ratio(sums["target moved"], sums["target before"]),
        retain=_ratio(sums["retain moved"], sums["retain before"]),
        protection=None
        if reach is None
        else Protection(
            leak=_ratio(sums["leak"], sums["exact"], of_nothing=0.0),
            stored=_ratio(sums["stored leak"], sums["stored"], of_nothing=0.0),
            coverage=1 - _share(second_moment(retain), reach),
            room=_share(second_moment(target), reach),
        ),
    )


def _root(tokens: Tensor) -> Tensor:
    """R [r, d] float64, RᵀR = Σ e eᵀ: the tokens themselves, or fewer rows where they are many."""
    used = tokens.reshape(-1, tokens.shape[-1]).double().cpu()
    used = used[used.any(dim=1)]
    return torch.linalg.qr(used, mode="r").R if len(used) > used.shape[1] else used


def _matrix(values: object, shape: tuple[int, ...]) -> Tensor:
    return torch.as_tensor(values).double().reshape(shape)


def _ratio(part: float, whole: float, of_nothing: float = float("nan")) -> float:
    """The ratio of two norms given their squares."""
    return float((max(part, 0.0) / whole) ** 0.5) if whole > 0 else of_nothing


def _outside(change: Tensor, reach: Tensor) -> float:
    """‖ΔW - ΔW Q Qᵀ‖²"""
    return float((change - change @ reach @ reach.T).square().sum())


def _share(moment: Tensor, reach: Tensor) -> float:
    """The share of energy inside a subspace: tr(Qᵀ G Q) / tr G."""
    return float((reach.T @ moment @ reach).trace() / moment.trace())
