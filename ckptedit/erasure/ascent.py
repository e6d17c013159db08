"""Ascent on the denoising loss, with an end to it.

Unbounded, a model that forgets by getting worse never stops getting worse. Ko et al. 2024
(https://arxiv.org/abs/2412.07808) cap the loss; ours is a hinge for each sample, so that what is
bad enough is left alone, and it is measured from what the frozen model errs at the same moment,
which is next to nothing where there is much noise, and as large as the noise where there is little.
"""

from torch import Tensor

from ckptedit.diffusion.moments import OWN, Moments, Want
from ckptedit.guards.guard import Setting

PICTURED = Want("targets", "own", views=(OWN,))  # pictures of the targets, by the model itself


def shortfall(setting: Setting, shown: Moments, bound: float) -> Tensor:
    """By how much the student does not yet err as wanted, a mean over samples.

    shown: of PICTURED; bound: mean square, the noise's own being 1, by which it is to err more
    """
    more = _error(setting.student(shown), shown) - _error(shown.views[OWN], shown)
    return (bound - more).clamp_min(0).mean()


def _error(prediction: Tensor, shown: Moments) -> Tensor:
    """Mean square, [b]."""
    return (prediction - shown.noise).square().flatten(1).mean(1)
