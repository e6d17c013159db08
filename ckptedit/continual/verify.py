"""What is left of every target after each request, without a picture.

The residual of a target is r = ‖W' c - W c*‖ / ‖W c - W c*‖, root mean square over the tokens of
held-out sentences: c of a sentence that names the target, c* beside it in the same sentence about
its anchor, W the original weights, W' the edited ones. 0: its prompts read as the anchor's; 1: as
in the original. With s = c* - c and ΔW = W' - W it is a sum of three quadratic forms,

    r² = (cᵀ ΔWᵀΔW c - 2 cᵀ ΔWᵀW s + sᵀ WᵀW s) / sᵀ WᵀW s

so that the weights are read once for any number of targets. Taken of the values, which are what
attention draws with; of the keys where an edit moves them alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.neighbors import without
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import KINDS, OTHER
from ckptedit.diffusion import Model
from ckptedit.erasure.closed_forms.sides import HELD_OUT, Sides, Where, sides
from ckptedit.erasure.kv import KVWeights
from ckptedit.files import Checkpoint
from ckptedit.subspaces.words import Words

REBOUND = 0.1  # of its residual, since its own request, that a target may gain without a warning
COMPANIONS = 4  # concepts of the other kind that a target's sentences are completed with


@dataclass(frozen=True)
class Look:
    """What a checkpoint is, beside the original.

    drift:     ‖ΔW‖ / ‖W‖ over all weights of the roles that a run edits
    residuals: target -> r, 0 or more; none of a text encoder's edit, which K/V weights do not show
    """

    drift: float
    residuals: Mapping[str, float]


class Verifier:
    """Compares edited checkpoints with the original.

    names: all that a list of requests ever asks for: no sentence is completed with one
    """

    def __init__(self, base: Checkpoint, model: Model, names: Sequence[str], roles: str) -> None:
        self.words = Words(model.text, lexicon_of(model.family))
        self.family, self.roles = model.family, "te" if roles == "te" else "kv"
        self.weights = KVWeights(base, model.family, self.roles)
        self.companions = {
            kind: without(model.text, self.words.lexicon[kind], names) for kind in KINDS
        }
        self._read: dict[Target, Sides] = {}
        self._original: dict[str, Tensor] = {}  # role -> WᵀW

    def look(self, edited: Checkpoint, targets: Sequence[Target]) -> Look:
        """targets: each with its kind and its anchor"""
        theirs = KVWeights(edited, self.family, self.roles)
        moved: dict[str, Tensor] = {}  # role -> ΔWᵀΔW [d, d]
        along: dict[str, Tensor] = {}  # role -> ΔWᵀW [d, d]
        before: dict[str, Tensor] = {}
        for key, piece in self.weights.pieces.items():
            weight = self.weights[key]
            change = theirs[key] - weight
            _add(moved, piece.role, change.T @ change)
            _add(along, piece.role, change.T @ weight)
            if not self._original:
                _add(before, piece.role, weight.T @ weight)
        self._original = self._original or before
        drift = _trace(moved) / _trace(self._original)
        if self.roles == "te":
            return Look(drift**0.5, {})
        role = next((r for r in "vk" if r in moved and moved[r].any()), "v")
        grams = moved[role], along[role], self._original[role]
        return Look(drift**0.5, {t.concept: residual(self._sides(t), *grams) for t in targets})

    def _sides(self, target: Target) -> Sides:
        if target not in self._read:
            other = OTHER[target.kind]
            some = self.companions[other]
            company = tuple(some[:: max(1, len(some) // (2 * COMPANIONS))][: 2 * COMPANIONS])
            empty: dict[str, tuple[str, ...]] = dict.fromkeys(KINDS, ())
            request = Request((target,), (), empty, empty | {other: company})
            self._read[target] = sides(request, self.words, Where(HELD_OUT, "all"))
        return self._read[target]


def residual(read: Sides, moved: Tensor, along: Tensor, original: Tensor) -> float:
    """r of one target from ΔWᵀΔW, ΔWᵀW and WᵀW [d, d]; 1 where its anchor reads as it does."""
    c, s = read.targets, read.shift
    missing = float(((s @ original) * s).sum())
    left = float(((c @ moved) * c).sum()) - 2 * float(((c @ along) * s).sum()) + missing
    return (max(left, 0.0) / missing) ** 0.5 if missing > 0 else 1.0


def _add(sums: dict[str, Tensor], role: str, gram: Tensor) -> None:
    sums[role] = sums.get(role, torch.zeros(())) + gram.double()


def _trace(grams: Mapping[str, Tensor]) -> float:
    return float(sum(float(gram.trace()) for gram in grams.values()))
