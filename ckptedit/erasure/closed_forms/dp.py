"""Double projections: exact on what goes, and on what stays.

Closed-Form Concept Erasure via Double Projections, CVPR 2026, https://arxiv.org/abs/2604.10032. The
first projection takes a target c to c*, its part in the safe subspace; the second confines the
change to what lies outside the span of what stays, the left null space U₂ of its leading singular
directions. With x = U₂ᵀ c,

    ΔW = W (c* - c) xᵀ U₂ᵀ / ‖x‖²

so that W' c = W c* and ΔW C0 = 0, both but for rounding, and a second edit changes nothing. Departs
from it: several targets are solved together, by the pseudo-inverse, where one after the other would
move what was done; the safe subspace is spanned by what stays and by the anchors, which thereby
stay, too; `aim`=anchor takes the anchor's own embedding for c*, so that a target becomes what it is
to become and not only less than it was. On mini, with `aim`=anchor, `read`=sentences,
`positions`=all, `energy`=0.95 and `ridge`=0.1: UA 100, RA-I 92 and RA-C 97 for a style (values
only), 100, 83 and 100 for an object.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from ckptedit.concepts.request import Request
from ckptedit.diffusion import Model
from ckptedit.erasure.closed_forms.sides import Positions, Read, Sides, Stay, Where, sides
from ckptedit.erasure.closed_forms.solving import changed, confined, outside, span
from ckptedit.erasure.method import Method, Solution
from ckptedit.errors import BadParam
from ckptedit.params import Within
from ckptedit.subspaces.words import Words

LEAST = 1e-3  # share of a target that must lie outside of what stays


class DP(Method):
    """Two projections: targets onto a safe subspace, the change off what stays."""

    def __init__(
        self,
        *,
        aim: Annotated[
            Literal["safe", "anchor"], "what a target becomes: its safe part, or its anchor"
        ] = "safe",
        energy: Annotated[
            float, Within("(0, 1]"), "share of the energy of what stays that may not move at all"
        ] = 1.0,
        ridge: Annotated[float, Within("[0, inf)"), "ρ, of a small change; 0: exact"] = 0.0,
        read: Read = "name",
        positions: Positions = "last",
        stay: Stay = "request",
    ) -> None:
        self.aim, self.energy, self.ridge = aim, energy, ridge
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
        basis = span(torch.cat([found.stay, found.anchors]), self.energy)
        _require_room(found, basis)
        if self.aim == "safe":
            found = replace(found, anchors=found.targets @ basis.T @ basis)
        return Solution(changed(weights, *confined(found, basis, self.ridge)))


def _require_room(found: Sides, basis: Tensor) -> None:
    """Raises BadParam if a target has no part outside of what stays."""
    free = outside(found.targets, basis).norm(dim=1) / found.targets.norm(dim=1)
    for name, share in zip(found.names, free.tolist(), strict=True):
        if share < LEAST:
            raise BadParam(
                f"only {share:.1e} of {name!r} lies outside of what stays, {LEAST:g} is needed; "
                f"retain fewer concepts, or let less of them be fixed (-p energy=0.9)"
            )
