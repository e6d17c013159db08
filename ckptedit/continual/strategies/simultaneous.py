"""All that is asked for so far, trained from the original weights again with every request.

θ_n = U(θ_0, {c_1, …, c_n}): the yardstick of Lee et al., ICLR 2026, https://arxiv.org/abs/2511.07970,
whose cost grows with every request if every target is to get as many steps; here the number of
steps is that of the options, whatever the number of targets.
"""

from ckptedit.continual.strategies.recomputed import Recomputed


class Simultaneous(Recomputed):
    """All targets at once, trained, from the original."""

    trained = True
    remedy = "train longer (--steps)"
