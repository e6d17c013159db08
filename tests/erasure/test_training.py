"""The training loop's arithmetic, and the figures that an erasure reports."""

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from ckptedit.deltas.change import Dense
from ckptedit.erasure.confined import Confined
from ckptedit.erasure.measure import measure
from ckptedit.files import Checkpoint, Spec, write


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


def test_figures_worked_by_hand(tmp_path):
    path = tmp_path / "two.safetensors"
    write(path, [Spec("w", "F32", (2, 2))], [np.float32([[3, 0], [0, 4]])], {})
    base, edits = Checkpoint(path), {"w": Dense(np.float32([[0, 0], [0, 0.5]]))}
    target = torch.tensor([[[0.0, 1.0]]])  # W e = (0, 4), ΔW e = (0, 0.5)
    retain = torch.tensor([[[3.0, 1.0]]])  # W e = (9, 4), ΔW e = (0, 0.5)
    allowed = torch.tensor([[0.0], [1.0]])
    found = measure(base, edits, allowed, target=target, retain=retain)
    assert found.drift == pytest.approx(0.1) and found.target == pytest.approx(0.125)
    assert found.retain == pytest.approx(0.5 / 97**0.5)
    held = found.protection
    assert held is not None and (held.leak, held.stored) == (0, 0)
    assert (held.room, held.coverage) == (pytest.approx(1), pytest.approx(0.9))
    assert measure(base, edits, None, target=target, retain=retain).protection is None
    across = measure(base, edits, torch.tensor([[1.0], [0.0]]), target=target, retain=retain)
    assert across.protection is not None and across.protection.leak == pytest.approx(1)


def test_drift_and_stored_leak_are_of_what_is_stored(tmp_path):
    """Beside 1, halves that float16 keeps are 4.9e-4 apart; what is less is rounded away."""
    path = tmp_path / "one.safetensors"
    write(path, [Spec("w", "F16", (1, 2))], [np.float16([[1, 1]])], {})
    token = torch.tensor([[[1.0, 0.0]]])
    allowed = torch.tensor([[1.0], [0.0]])

    def measured(first, second):
        edits = {"w": Dense(np.float32([[first, second]]))}
        return measure(Checkpoint(path), edits, allowed, target=token, retain=token)

    assert measured(1e-4, 0).drift == 0
    kept = measured(2**-9, 1e-4)
    assert kept.drift == pytest.approx(2**-9 / 2**0.5)
    assert kept.protection is not None and kept.protection.stored == 0
    assert kept.protection.leak == pytest.approx(1e-4 / 2**-9, rel=0.01)
