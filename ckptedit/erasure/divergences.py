"""f-divergences between two Gaussians of one width, which are functions of one number.

p = N(m1, v I), q = N(m2, v I), s = |m1 - m2|² / v, and D(p, q) = E_z[f(exp(sqrt(s) z - s/2))] with
z standard normal. Novello et al., A Unified Framework for Diffusion Model Unlearning with
f-Divergence, ICML 2026, https://arxiv.org/abs/2509.21167. Whatever f is, dD/ds = E_z[u² f''(u)] / 2
(with u as above): so each is the squared distance with a weight of its own, and forward, reverse
and symmetric KL weigh nothing differently. All but Jensen-Shannon are elementary; that is summed by
Gauss-Hermite.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import exp, inf, log, pi, sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

NODES = 150  # of the quadrature: weights are right to 1e-5 up to s = 30, and there next to nothing
STEEP = 20.0  # exponent from which on an exponential goes on as a line, so that no sample is all
TINY = 1e-24  # s below which its root is a constant, so that its slope is finite
TYPICAL = (
    3.0  # s of the median sample, near where a bounded divergence pulls most (4 for Hellinger)
)


@dataclass(frozen=True)
class Divergence:
    """D as a function of s, both [b] float64.

    value:   D(s)
    slope:   dD/ds
    unit:    f''(1) / 2, the slope at 0, by which D is divided so that all are s where s is small;
             total variation has a kink there, and is divided by its slope at 1
    typical: a median s at which it does what it is chosen for, and none of its samples is all
    """

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    unit: float
    typical: float = TYPICAL

    def loss(self, s: Tensor) -> Tensor:
        """D in units of s: its gradient is `weight` times that of s."""
        return self.value(s) / self.unit

    def weight(self, s: Tensor) -> Tensor:
        """How much a sample counts, against 1 with KL (the squared distance)."""
        return self.slope(s) / self.unit


def exponential(kappa: float, times: float = 1.0) -> Divergence:
    """times · (exp(kappa s) - 1) / (2 kappa), of weight exp(kappa s): KL at 0, bounded below it."""

    def value(s: Tensor) -> Tensor:
        if kappa == 0:
            return times * s / 2
        x = kappa * s
        beyond = torch.expm1(torch.tensor(STEEP, dtype=x.dtype)) + exp(STEEP) * (x - STEEP)
        return times * torch.where(x > STEEP, beyond, x.clamp_max(STEEP).expm1()) / (2 * kappa)

    def slope(s: Tensor) -> Tensor:
        return times * (kappa * s).clamp_max(STEEP).exp() / 2

    return Divergence(value, slope, times / 2, min(TYPICAL, 1 / kappa if kappa > 0 else inf))


def alpha_divergence(alpha: float) -> Divergence:
    """f = (u^alpha - 1 - alpha (u - 1)) / (alpha (alpha - 1)): KL at 0 and 1, Hellinger at 1/2."""
    return exponential(alpha * (alpha - 1) / 2)


def _root(s: Tensor) -> Tensor:
    return s.clamp_min(TINY).sqrt()


def _variation(s: Tensor) -> Tensor:
    return torch.erf(_root(s) / sqrt(8))


def _variation_slope(s: Tensor) -> Tensor:
    return (-s / 8).exp() / sqrt(2 * pi) / (2 * _root(s))


@cache
def _hermite() -> tuple[Tensor, Tensor]:
    """Nodes and weights of a mean over a standard normal, [NODES] float64 each."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return torch.from_numpy(nodes), torch.from_numpy(weights / sqrt(2 * pi))


def _log_ratio(s: Tensor) -> Tensor:
    """log p/q at the nodes, where samples are of p: [b, NODES]."""
    return s[:, None] / 2 + _root(s)[:, None] * _hermite()[0]


def _jensen_shannon(s: Tensor) -> Tensor:
    return log(2) - softplus(-_log_ratio(s)) @ _hermite()[1]


def _jensen_shannon_slope(s: Tensor) -> Tensor:
    return torch.sigmoid(-_log_ratio(s)).square() @ _hermite()[1] / 2


KL = exponential(0)  # u log u, and -log u
JEFFREYS = exponential(0, times=2)  # (u - 1) log u
HELLINGER = exponential(-1 / 8, times=1 / 2)  # (sqrt(u) - 1)²
CHI2 = exponential(1, times=2)  # (u - 1)², Pearson's and Neyman's
TV = Divergence(_variation, _variation_slope, exp(-1 / 8) / sqrt(8 * pi))  # |u - 1| / 2
JS = Divergence(_jensen_shannon, _jensen_shannon_slope, 1 / 8)
