"""RECE: what the edit left of a concept is found in closed form, and erased, too.

Gong et al., Reliable and Efficient Concept Erasure of Text-to-Image Diffusion Models, ECCV 2024,
https://arxiv.org/abs/2407.12383. After a step of unified concept editing, for each target c the
embedding

    ĉ = (Σ W'ᵀ W' + λ I)⁻¹ (Σ W'ᵀ W) c

is the one that makes the edited weights W' say what the weights before said of c; it is erased by
another step, and so on. With W' = W (I + D) both sums are products of I + D and G = Σ WᵀW, which is
taken once.

How well ĉ does it is reported, as a score of recovery that needs no picture: `error`, the share of
W c that W' ĉ misses, and `norm`, ‖ĉ‖ / ‖c‖. An error near 0 says that the concept is still there
for whoever may write embeddings; a large norm, that no word is likely to.

Departs from it: λ is a share of the mean eigenvalue of G (0.1 and 1e-3 are published, of about 20
in SD1.5), so that it means the same for every model. On mini, with `read`=sentences and
`positions`=all: UA 100, RA-I 95 and RA-C 96 for a style, 100, 83 and 100 for an object.
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
    Factors,
    LeastSquares,
    chained,
    changed,
    metric,
)
from ckptedit.erasure.method import Solution
from ckptedit.params import Within
from ckptedit.subspaces.words import Words


class RECE(LeastSquares):
    """Unified concept editing, again and again on the embedding that still works."""

    def __init__(
        self,
        *,
        epochs: Annotated[int, Within("[0, inf)"), "steps after the first one"] = 3,
        bound: Annotated[
            float, Within("(0, inf)"), "λ, share of the mean eigenvalue that bounds ‖ĉ‖"
        ] = 5e-3,
        erase: Annotated[float, Within("(0, inf)"), "e, weight of the targets"] = 1.0,
        preserve: Annotated[float, Within("[0, inf)"), "p, of what stays"] = 1.0,
        ridge: Annotated[float, Within("(0, inf)"), "of staying where it was"] = 0.5,
        general: Annotated[
            float, Within("[0, inf)"), "of the second moment of the whole vocabulary and lexicon"
        ] = 0.0,
        read: Read = "name",
        positions: Positions = "last",
        stay: Stay = "request",
    ) -> None:
        super().__init__(
            erase=erase,
            preserve=preserve,
            ridge=ridge,
            general=general,
            where=Where(read, positions, stay),
        )
        self.epochs, self.bound = epochs, bound

    def solve(
        self,
        request: Request,
        words: Words,
        weights: Mapping[str, Tensor],
        *,
        model: Model | None = None,
    ) -> Solution:
        found, gain = sides(request, words, self.where), metric(weights)
        change = self.factors(found, words)
        for _ in range(self.epochs):
            left_over = derived(found.targets, change, gain, self.bound)
            step = self.factors(replace(found, targets=left_over), words)
            change = chained(change, step)
        again = derived(found.targets, change, gain, self.bound)
        score = recovery(found, again, change, gain)
        return Solution(changed(weights, *change), facts={"recovery": score})


def derived(targets: Tensor, change: Factors, gain: Tensor, bound: float) -> Tensor:
    """ĉ of each target c: [n, d].

    gain: G [d, d]; bound: share of G's mean eigenvalue that is added to each of W'ᵀW'
    """
    edited = torch.eye(len(gain), dtype=torch.float64) + change[0] @ change[1]  # I + D
    system = edited.T @ gain @ edited
    system += bound * gain.trace() / len(gain) * torch.eye(len(gain), dtype=torch.float64)
    return torch.cholesky_solve(edited.T @ gain @ targets.T, torch.linalg.cholesky(system)).T


def recovery(
    found: Sides, again: Tensor, change: Factors, gain: Tensor
) -> dict[str, dict[str, float]]:
    """Target -> how well its ĉ says of W' what c said of W, root mean square over its places."""
    missed = again + again @ change[1].T @ change[0].T - found.targets  # (I + D) ĉ - c
    sizes = {
        "error": (
            ((missed @ gain) * missed).sum(1),
            ((found.targets @ gain) * found.targets).sum(1),
        ),
        "norm": (again.square().sum(1), found.targets.square().sum(1)),
    }
    scores: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(found.names):
        rows = torch.tensor([each == name for each in found.names])
        scores[name] = {
            what: float((part[rows].sum() / whole[rows].sum()).clamp(min=0).sqrt())
            for what, (part, whole) in sizes.items()
        }
    return scores
