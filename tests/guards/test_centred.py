"""Penalties on how far weights are from where they were."""

from dataclasses import replace

import pytest
import torch
from laws.linear import DIM, OUT, Linear, run, setting

from ckptedit.diffusion.moments import RETAINED
from ckptedit.guards.ewc import EWC
from ckptedit.guards.l1 import L1
from ckptedit.guards.l2 import L2

RNG = torch.Generator().manual_seed(0)


def penalty(guard, moved=0.5, **changed):
    """After every weight has moved by as much, down in every other column."""
    model = Linear()
    guard.start(replace(setting(model), **changed))
    with torch.no_grad():
        model.weight += moved * torch.tensor([1.0, -1.0]).repeat(DIM // 2)
    found = guard.penalty(RNG)
    found.backward()
    return found.item(), model.weight.grad


@pytest.mark.parametrize(
    "guard, value, slope",
    [
        (L1(weight=3), 3 * 0.5, 3 / (OUT * DIM)),
        (L1(weight=3, norm="sum"), 3 * 0.5 * OUT * DIM, 3),
        (L2(weight=3), 3 * 0.25, 3 / (OUT * DIM)),
        (L2(weight=3, norm="sum"), 3 * 0.25 * OUT * DIM, 3),
    ],
)
def test_a_change_costs_its_size(guard, value, slope):
    """The slope of a square at 0.5 is 1 as well."""
    found, gradient = penalty(guard)
    assert found == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(gradient, slope * torch.tensor([1.0, -1.0]).repeat(OUT, DIM // 2))


@pytest.mark.parametrize("kind", [L1, L2, EWC])
def test_a_change_is_of_the_start_or_of_the_original(kind):
    original = {"w": Linear().weight.detach() + 1}
    known = {"original": original}
    assert penalty(kind(), moved=0, **known)[0] == 0
    assert kind(around="original").needs_original and not kind().needs_original
    away = penalty(kind(around="original"), moved=0, **known)[0]
    there = penalty(kind(), moved=torch.tensor(-1.0) * torch.tensor([1.0, -1.0]).repeat(DIM // 2))
    assert away == pytest.approx(there[0], rel=1e-5) and away > 0


def test_fisher_information_is_what_distillation_would_pay_for_a_change():
    """Of W e with normal noise: E (n_i e_j)² = e_j² in every row, of the mean of OUT entries."""
    model = Linear()
    known = setting(model)
    many = model.moments(known.retain.repeat(400, 1, 1))
    guard = EWC(weight=2.0, samples=2000)
    guard.start(replace(known, moments={RETAINED: many}.__getitem__))
    energy = known.retain[:, 0].square().mean(0) / OUT
    torch.testing.assert_close(guard.fisher["w"], energy.repeat(OUT, 1), rtol=0.35, atol=0.01)
    with torch.no_grad():
        model.weight[:, 3] += 0.1  # of one column: the diagonal is all of it
    pays = 2.0 * (model(many) - many.aim).square().mean().item()
    assert guard.penalty(RNG).item() == pytest.approx(pays, rel=0.1)


@pytest.mark.parametrize("strong, weak", [
    (L1(weight=1e3), L1(weight=1e-6)),
    (L2(weight=1e5), L2(weight=1e-6)),
    (EWC(weight=1e3), EWC(weight=1e-6)),
])  # fmt: skip
def test_a_larger_weight_holds_more(strong, weak):
    tokens = setting(Linear()).retain[:, 0].T
    held, free = (run(guard)[0] for guard in (strong, weak))
    assert (held @ tokens).norm() < 0.5 * (free @ tokens).norm()
