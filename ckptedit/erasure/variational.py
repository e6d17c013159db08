"""f-divergences as games: the largest of E_p[T] - E_q[f*(T)] over what a critic can say.

Nguyen, Wainwright & Jordan, 2010, https://arxiv.org/abs/0809.0853; the output maps, which keep T
where f* is finite, are those of Nowozin et al., f-GAN, 2016, https://arxiv.org/abs/1606.00709. At
the best, T = f'(p/q): of Gaussians of one width, every T here is a map of a linear score, but for
total variation, whose T is a sign.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Forms = Literal["hellinger", "js", "kl", "reverse-kl", "chi2", "tv"]
FARTHEST = 10.0  # score: e to that is as much as a ratio of densities may be


@dataclass(frozen=True)
class Form:
    """output: a critic's score [b] to T; conjugate: f* of T."""

    output: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]

    def real(self, scores: Tensor) -> Tensor:
        """The mean of T over samples of p: the critic makes it large."""
        return self.output(_near(scores)).mean()

    def fake(self, scores: Tensor) -> Tensor:
        """The mean of f*(T) over samples of q: the critic makes it small."""
        return self.conjugate(self.output(_near(scores))).mean()

    def bound(self, real: Tensor, fake: Tensor) -> Tensor:
        """A lower bound of the divergence, reached by the best critic."""
        return self.real(real) - self.fake(fake)


def _near(scores: Tensor) -> Tensor:
    return FARTHEST * torch.tanh(scores / FARTHEST)


FORMS: dict[Forms, Form] = {
    "kl": Form(lambda v: v, lambda t: torch.exp(t - 1)),
    "reverse-kl": Form(lambda v: -torch.exp(-v), lambda t: -1 - torch.log(-t)),
    "hellinger": Form(lambda v: -torch.expm1(-v), lambda t: t / (1 - t)),
    # of u log u - (u + 1) log((u + 1) / 2), which is twice the divergence
    "js": Form(lambda v: log(2) + logsigmoid(v), lambda t: -torch.log(2 - torch.exp(t))),
    "chi2": Form(lambda v: v, lambda t: t * t / 4 + t),
    "tv": Form(lambda v: torch.tanh(v) / 2, lambda t: t),
}
