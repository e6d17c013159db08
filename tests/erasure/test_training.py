"""The training loop's arithmetic, and the figures that an erasure reports."""

import pytest
import torch
from torch.nn import Parameter

from ckptedit.erasure.measure import kv_change, protection, relative_drift
from ckptedit.erasure.train import Confined


def test_a_confined_gradient_is_what_autograd_finds_for_the_amounts():
    torch.manual_seed(0)
    start, tokens = torch.randn(3, 6), torch.randn(6, 4)
    directions = torch.linalg.qr(torch.randn(6, 2)).Q
    part = Confined(Parameter(start.clone()), directions)
    (part.weight @ tokens).square().sum().backward()
    part.take_gradient()
    amount = torch.zeros(3, 2, requires_grad=True)
    ((start + amount @ directions.T) @ tokens).square().sum().backward()
    torch.testing.assert_close(part.amount.grad, amount.grad)


def test_moving_writes_the_amounts_into_the_weight():
    part = Confined(Parameter(torch.ones(1, 3)), torch.tensor([[1.0], [0], [0]]))
    with torch.no_grad():
        part.amount.fill_(2)
    part.move()
    assert part.weight.tolist() == [[3, 1, 1]]


def test_figures_worked_by_hand():
    weights = {"w": torch.tensor([[3.0, 0], [0, 4]])}
    deltas = {"w": torch.tensor([[0.0, 0], [0, 0.5]])}
    assert relative_drift(weights, deltas) == pytest.approx(0.1)
    tokens = torch.tensor([[[0.0, 1.0]]])  # W e = (0, 4), ΔW e = (0, 0.5)
    assert kv_change(weights, deltas, tokens) == pytest.approx(0.125)
    allowed = torch.tensor([[0.0], [1.0]])
    found = protection(allowed, deltas, deltas, torch.tensor([[[3.0, 1.0]]]), tokens)
    assert found is not None
    assert (found.leak, found.room) == (0, 1)
    assert found.coverage == pytest.approx(0.9)
    assert protection(None, deltas, deltas, tokens, tokens) is None
