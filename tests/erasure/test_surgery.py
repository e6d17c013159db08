"""Rules that combine two gradients: neither term grows, to first order, by the other's doing."""

import pytest
import torch
from torch.nn import Parameter

from ckptedit.erasure.combined import accumulate
from ckptedit.erasure.confined import Confined
from ckptedit.erasure.surgery import TwoSided, one_sided

PAIRS, SIZE = 2000, 30


def conflicting():
    """Random pairs of gradients, most of them against each other, of very different lengths."""
    rng = torch.Generator().manual_seed(0)

    def drawn():
        lengths = torch.randn(PAIRS, 1, generator=rng).mul(1.5).exp()
        return torch.randn(PAIRS, SIZE, generator=rng).double() * lengths

    erase, retain = drawn(), drawn()
    against = torch.randn(PAIRS, 1, generator=rng).abs() * erase.norm(dim=1, keepdim=True)
    return erase - against * retain / retain.norm(dim=1, keepdim=True), retain


def published(names, products):
    """What the code of DoCo subtracts: cos(g, r) r / |r|."""
    (erases, across), (_, retains) = products.tolist()
    return 1.0, -across / (erases**0.5 * retains) if across < 0 else 0.0


def grown(rule):
    """How many of the pairs make either term larger, to first order."""
    counts = [0, 0]
    for pair in zip(*conflicting(), strict=True):
        both = torch.stack(pair)
        step = torch.tensor(rule(("erase", "retain"), both @ both.T), dtype=torch.float64) @ both
        for which, own in enumerate(pair):
            counts[which] += bool(step @ own < -1e-9 * own.norm() * step.norm())
    return counts


@pytest.mark.parametrize("rule", [one_sided, TwoSided(), TwoSided(0.1), TwoSided(5.0)])
def test_neither_term_grows_to_first_order_in_any_of_2000_pairs(rule):
    assert grown(rule) == [0, 0]


def test_what_released_code_subtracts_lets_what_is_retained_grow_in_most_pairs():
    """So the test above can fail."""
    assert grown(published)[1] > PAIRS / 2


def test_gradients_that_agree_are_not_touched():
    agree = torch.tensor([[4.0, 1], [1, 9]], dtype=torch.float64)
    assert one_sided("ab", agree) == (1, 0) and TwoSided(3.0)("ab", agree) == (1, 3)


def test_one_sided_surgery_is_a_projection_and_two_sided_two_of_them():
    erase, retain = torch.tensor([[2.0, -3, 1], [1, 1, 0]], dtype=torch.float64)
    off = erase - (erase @ retain) / (retain @ retain) * retain
    back = retain - (erase @ retain) / (erase @ erase) * erase
    both = torch.stack([erase, retain])
    for rule, expected in ((one_sided, off), (TwoSided(0.5), off + 0.5 * back)):
        shares = torch.tensor(rule("ab", both @ both.T), dtype=torch.float64)
        torch.testing.assert_close(shares @ both, expected)


@pytest.mark.parametrize("rule", [one_sided, TwoSided()])
def test_a_retained_term_without_a_gradient_hinders_nothing(rule):
    """As before the first step, when the student still is the frozen model."""
    part = Confined(Parameter(torch.zeros(1, 2)), None)
    part.restrict([])
    gone = part.weight @ torch.tensor([3.0, 4])
    accumulate([("erase", gone.sum()), ("retain", (0 * part.weight).sum())], rule, [part])
    assert part.weight.grad.tolist() == [[3, 4]]
