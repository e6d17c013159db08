"""Erasing in the null space of what stays, after choosing what stays by what would be moved.

Li et al., SPEED, ICLR 2026, https://arxiv.org/abs/2503.07392. With P the projector off the refined
retained embeddings C0, C2 what may not move at all (the start token and 3 centroids of the empty
prompt's tokens) and M = (C1 C1ᵀ P + I)⁻¹, Q = I - M C2 (C2ᵀ P M C2)⁻¹ C2ᵀ P,

    ΔW = W (C* C1ᵀ - C1 C1ᵀ) P Q M

which is the least change that keeps to the null space of both, and is computed as that
(`solving.confined` with ρ = 1): P Q M is one projection and a system of as many equations as there
are targets, in place of two d x d inverses for each weight. The filter keeps the c0 that the edit
without any protection would move more than the mean; the augmentation adds to each of them points
along the direction that the weights amplify least.

Departs from it: filter and augmentation look at all weights together (‖W e‖² summed), so that P is
one for all; the augmentation is a moment, m·n p pᵀ for m retained and n points each, not n random
points; a direction is null by its share of the largest singular value, 1e-1 of what is about 1e5
there; retained names are the lexicon's. V only by default, as published. On mini, with
`read`=sentences, `positions`=all and `null`=0.01: UA 100, RA-I 100 and RA-C 100 for a style, 100,
93 and 100 for an object; but the lexicon is all that mini draws.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from ckptedit.concepts.request import Request
from ckptedit.diffusion import Model
from ckptedit.erasure.closed_forms.sides import Positions, Read, Sides, Stay, Where, sides
from ckptedit.erasure.closed_forms.solving import (
    changed,
    confined,
    least_squares,
    metric,
    outside,
)
from ckptedit.erasure.method import Method, Solution
from ckptedit.params import Within
from ckptedit.subspaces.words import Words

CENTROIDS = 3
ROUNDS = 20  # of Lloyd's algorithm


class Speed(Method):
    """The null space of what the edit would move most; values only."""

    roles = ("v", "kv", "k")

    def __init__(
        self,
        *,
        null: Annotated[
            float, Within("(0, 1)"), "share of the largest singular value below which one is null"
        ] = 1e-6,
        augment: Annotated[
            int, Within("[0, inf)"), "points that are added to each retained embedding"
        ] = 10,
        ridge: Annotated[float, Within("(0, inf)"), "of a small change"] = 1.0,
        read: Read = "name",
        positions: Positions = "last",
        stay: Stay = "lexicon",
    ) -> None:
        self.null, self.augment, self.ridge = null, augment, ridge
        self.where = Where(read, positions, stay)

    def solve(
        self,
        request: Request,
        words: Words,
        weights: Mapping[str, Tensor],
        *,
        model: Model | None = None,
    ) -> Solution:
        found = sides(request, words, self.where)
        gain = metric(weights)
        kept = refined(found, gain)
        moment = kept.T @ kept
        if self.augment:
            least = torch.linalg.eigh(gain)[1][:, 0]  # p [d]
            added = self.augment * len(kept) * torch.outer(least, least)
            moment = (1 + self.augment) * moment + added
        values, vectors = torch.linalg.eigh(moment)
        basis = vectors[:, values > self.null * values[-1]].T  # what P takes away [r, d]
        fixed = outside(unmoved(words.prompts([""])[0].double().cpu()), basis)
        directions = torch.linalg.qr(fixed.T)[0].T
        return Solution(
            changed(weights, *confined(found, torch.cat([basis, directions]), self.ridge))
        )


def refined(found: Sides, gain: Tensor) -> Tensor:
    """The rows of what stays that an unprotected edit would move more than the mean: [m, d].

    gain: G [d, d], the sum of WᵀW
    """
    left, right = least_squares(replace(found, stay=found.stay[:0]))
    moved = found.stay @ right.T @ left.T  # D c0 [m, d]
    damage = ((moved @ gain) * moved).sum(dim=1).clamp(min=0).sqrt()
    return found.stay[damage > damage.mean()]


def unmoved(empty: Tensor) -> Tensor:
    """The start token and CENTROIDS means of the other tokens of the empty prompt [L, d]: [k, d].

    Lloyd's algorithm, from the token farthest from all centres so far, so that it needs no chance.
    """
    start, rest = empty[:1], empty[1:]
    centres = rest[:1]
    while len(centres) < min(CENTROIDS, len(rest)):
        far = torch.cdist(rest, centres).amin(dim=1).argmax()
        centres = torch.cat([centres, rest[far : far + 1]])
    for _ in range(ROUNDS):
        nearest = torch.cdist(rest, centres).argmin(dim=1)
        centres = torch.stack(
            [
                rest[nearest == i].mean(dim=0) if (nearest == i).any() else centre
                for i, centre in enumerate(centres)
            ]
        )
    return torch.cat([start, centres])
