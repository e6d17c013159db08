"""Unified concept editing: keys and values of the target's name become those of its anchor's.

Gandikota et al., Unified Concept Editing in Diffusion Models, WACV 2024,
https://arxiv.org/abs/2308.14761, equation 7. With the columns of C the targets' embeddings, of C*
their anchors' and of C0 those that stay, the minimum of

    e ‖W' C - W C*‖² + p ‖W' C0 - W C0‖² + λ ‖W' - W‖²

is W' = W + e W (C* - C) Cᵀ A⁻¹ with A = λ I + e C Cᵀ + p C0 C0ᵀ. Departs from the released code in
how it is computed, not in what: there a d x d matrix is inverted for each weight, here one system
is solved for all, in float64, and the change stays in the factors that it has by construction.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor

from ckptedit.concepts.request import Request
from ckptedit.deltas.change import compact
from ckptedit.diffusion import Model
from ckptedit.erasure.method import Method, Solution
from ckptedit.params import Within
from ckptedit.subspaces.words import Words


class UCE(Method):
    """One linear system for all weights; the defaults are the paper's."""

    def __init__(
        self,
        *,
        erase: Annotated[float, Within("(0, inf)"), "e, weight of the targets"] = 1.0,
        preserve: Annotated[float, Within("[0, inf)"), "p, of what stays"] = 1.0,
        ridge: Annotated[float, Within("(0, inf)"), "λ, of staying where it was"] = 0.5,
    ) -> None:
        self.erase, self.preserve, self.ridge = erase, preserve, ridge

    def solve(
        self,
        request: Request,
        words: Words,
        weights: Mapping[str, Tensor],
        *,
        model: Model | None = None,
    ) -> Solution:
        goals = [*request.targets, *request.earlier]
        named, stay = [goal.concept for goal in goals], staying(request)
        targets = words.last_tokens(named).double().cpu()  # [n, d]
        anchors = words.last_tokens([goal.anchor for goal in goals]).double().cpu()  # [n, d]
        rest = words.last_tokens(stay).double().cpu() if stay else targets[:0]  # [m, d]
        system = self.ridge * torch.eye(targets.shape[1], dtype=torch.float64)
        system += self.erase * targets.T @ targets + self.preserve * rest.T @ rest  # A [d, d]
        down = self.erase * torch.linalg.solve(system, targets.T).T  # e Cᵀ A⁻¹ [n, d]
        shift = (anchors - targets).T  # C* - C [d, n]
        return Solution(
            {
                name: compact((weight.double().cpu() @ shift).numpy(), down.numpy())
                for name, weight in weights.items()
            }
        )


def staying(request: Request) -> list[str]:
    """The names of what must stay, of both kinds."""
    names = [*request.retained, *(name for each in request.companions.values() for name in each)]
    return list(dict.fromkeys(names))
