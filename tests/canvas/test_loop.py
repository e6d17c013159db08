"""The training loop of mini's parts."""

import pytest
import torch

from ckptedit.canvas import loop


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(4, 2)


def run(net: torch.nn.Module, state, stop: int | None = None) -> torch.nn.Module:
    """Trains 12 steps; raises KeyboardInterrupt before step number `stop`."""
    done = 0

    def loss_at(rng: torch.Generator) -> torch.Tensor:
        nonlocal done
        if done == stop:
            raise KeyboardInterrupt
        done += 1
        return (net(torch.randn(8, 4, generator=rng)) - 1).square().mean()

    return loop.train(net, loss_at, state, steps=12, lr=0.05, average=0.9)


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)  # seconds: after every step
    whole = run(model(), tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run(model(), tmp_path / "cut.pt", stop=5)
    resumed = run(model(), tmp_path / "cut.pt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(whole.weight, model().weight)
