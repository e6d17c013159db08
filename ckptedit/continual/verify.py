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
    ways:      target -> Σ ⟨ΔW c, W s⟩ / Σ ‖W s‖², how far it goes towards its anchor: 1 all the way
    """

    drift: float
    residuals: Mapping[str, float]
    ways: Mapping[str, float]


class Verifier:
    """Compares edited checkpoints with the original.

    names: all that a list of requests ever asks for: no sentence is completed with one
    """

    def __init__(self, base: Checkpoint, model: Model, names: Sequence[str], roles: str) -> None:
        self.words = Words(model.text, lexicon_of(model.family))
        self.family, self.roles = model.family, "te" if roles == "te" else "kv"
        self.weights = KVWeights(base, model.family, self.roles)
        self.companions = {
            kind: without(model.text, self.words.lexicon[kind], names, kind=kind) for kind in KINDS
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
            return Look(drift**0.5, {}, {})
        role = next((r for r in "vk" if r in moved and moved[r].any()), "v")
        grams = moved[role], along[role], self._original[role]
        found = {target.concept: forms(self._sides(target), *grams) for target in targets}
        return Look(
            drift**0.5,
            {concept: residual(*each) for concept, each in found.items()},
            {concept: each[1] / each[2] if each[2] else 0.0 for concept, each in found.items()},
        )

    def _sides(self, target: Target) -> Sides:
        if target not in self._read:
            other = OTHER[target.kind]
            some = self.companions[other]
            company = tuple(some[:: max(1, len(some) // (2 * COMPANIONS))][: 2 * COMPANIONS])
            empty: dict[str, tuple[str, ...]] = dict.fromkeys(KINDS, ())
            request = Request((target,), (), empty, empty | {other: company})
            self._read[target] = sides(request, self.words, Where(HELD_OUT, "all"))
        return self._read[target]


def forms(
    read: Sides, moved: Tensor, along: Tensor, original: Tensor
) -> tuple[float, float, float]:
    """(cᵀ ΔWᵀΔW c, cᵀ ΔWᵀW s, sᵀ WᵀW s), summed over the tokens of one target."""
    c, s = read.targets, read.shift

    def form(a: Tensor, gram: Tensor, b: Tensor) -> float:
        return float(((a @ gram) * b).sum())

    return form(c, moved, c), form(c, along, s), form(s, original, s)


def residual(moved: float, along: float, missing: float) -> float:
    """r from the forms of a target; 1 where its anchor reads as it does."""
    left = moved - 2 * along + missing
    return (max(left, 0.0) / missing) ** 0.5 if missing > 0 else 1.0


def _add(sums: dict[str, Tensor], role: str, gram: Tensor) -> None:
    sums[role] = sums.get(role, torch.zeros(())) + gram.double()


def _trace(grams: Mapping[str, Tensor]) -> float:
    return float(sum(float(gram.trace()) for gram in grams.values()))
