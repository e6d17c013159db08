"""The gradients of several terms, as one."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ckptedit.diffusion.ranks import ALONE, Ranks
from ckptedit.erasure.confined import Confined
from ckptedit.erasure.objectives.objective import Rule


def accumulate(
    terms: Iterable[tuple[str, Tensor]],
    rule: Rule | None,
    parts: Sequence[Confined],
    ranks: Ranks = ALONE,
) -> float:
    """Adds the terms' gradients to those of the weights; returns the sum of their values.

    rule: None: plainly, so that no gradient is held twice; else by its coefficients, for which the
          gradients are compared as far as the weights may follow them
    ranks: with a rule, gradients are averaged over these processes before they are compared
    """
    names: list[str] = []
    gradients: list[list[Tensor]] = []
    total = 0.0
    for name, term in terms:
        total += term.item()
        term.backward()
        if rule:
            ranks.average(part.weight for part in parts)
            names.append(name)
            gradients.append([part.hand_over() for part in parts])
    if rule:
        shares = rule(names, products(gradients, parts))
        for share, own in zip(shares, gradients, strict=True):
            for part, gradient in zip(parts, own, strict=True):
                part.receive(gradient, share)
    return total


def products(gradients: Sequence[Sequence[Tensor]], parts: Sequence[Confined]) -> Tensor:
    """Inner products of n gradients, each one [out, d] for each part: [n, n] float64."""
    found = torch.zeros(len(gradients), len(gradients), dtype=torch.float64)
    for i, part in enumerate(parts):
        rows = torch.stack([part.reachable(own[i]).flatten() for own in gradients]).double()
        found += (rows @ rows.mT).cpu()
    return found
