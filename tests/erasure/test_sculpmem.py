"""SculpMem: its mask, when it turns over, and what it holds still."""

from math import cos, pi

import pytest
import torch

from ckptedit.diffusion.moments import TARGETS
from ckptedit.erasure.objectives.sculpmem import SculpMem, strongest, turned
from ckptedit.erasure.train import train
from ckptedit.guards.guard import Guard
from erasure.toy import Toy, gradient, setting

ENTRIES = 16 * 6


@pytest.fixture
def model():
    return Toy()


class Looks(Guard):
    """Keeps what the mask and the weight were after every step."""

    def __init__(self, objective):
        self.objective, self.masks, self.weights = objective, [], []

    def start(self, setting):
        self.setting = setting
        self.after_step()

    def after_step(self):
        self.masks.append(self.objective.mask()["w"].clone())
        self.weights.append(self.setting.weights["w"].detach().clone())


@pytest.mark.parametrize("density, count", [(0.5, 48), (0.1, 10), (1.0, 96), (0.001, 1)])
def test_the_first_mask_is_where_the_sum_of_signed_gradients_is_largest(model, density, count):
    known, total, rng = setting(model), torch.zeros(16, 6), torch.Generator().manual_seed(0)
    for _ in range(3):
        shown = known.moments(TARGETS).pick(known.batch, rng)
        read = shown.text.tokens.mean(1)
        left = read @ model.weight.detach().T - shown.noise.flatten(1)
        total += 2 / left.numel() * left.T @ read
    objective = SculpMem(density=density, warmup=3)
    objective.start(known)
    mask = objective.mask()["w"]
    assert int(mask.sum()) == count
    assert total[mask].abs().min() >= total[~mask].abs().max() if count < ENTRIES else True


def test_the_batches_before_the_first_step_leave_no_trace_but_the_mask(model):
    before = model.weight.detach().clone()
    objective = SculpMem()
    objective.start(setting(model))
    assert torch.equal(model.weight, before) and model.weight.grad is None
    assert objective.done == 0 and not objective.sums["w"].any()


def test_the_weakest_of_a_mask_give_way_to_the_strongest_of_the_others():
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    sums = torch.tensor([[4.0, -1, 2, -3], [-9, 0.5, 8, 0.1]])
    assert turned(mask, sums, 0.25).int().tolist() == [[1, 0, 1, 1], [1, 0, 0, 0]]
    assert turned(mask, sums, 0.5).int().tolist() == [[1, 0, 0, 1], [1, 0, 1, 0]]
    assert torch.equal(turned(mask, sums, 0.2), mask)  # less than one entry
    assert turned(strongest(sums, 0.9), sums, 1.0).sum() == 7  # no more than there are others


def test_masks_turn_over_by_a_falling_cosine_until_four_fifths_of_the_steps(model):
    known, objective = setting(model, steps=20), SculpMem(every=4, turnover=0.5)
    looks = Looks(objective)
    train(objective, [looks], known, lr=1e-2, seed=0)
    replaced = [int((b & ~a).sum()) for a, b in zip(looks.masks, looks.masks[1:], strict=False)]
    expected = [0] * 20
    for done in (4, 8, 12):
        expected[done - 1] = int(48 * 0.5 * (1 + cos(pi * done / 20)) / 2)
    assert replaced == expected and sum(expected) > 30
    assert {int(mask.sum()) for mask in looks.masks} == {48}


def test_what_the_mask_does_not_hold_keeps_its_bits_from_step_to_step(model):
    known, objective = setting(model, steps=20), SculpMem(every=4, turnover=0.5)
    looks = Looks(objective)
    train(objective, [looks], known, lr=1e-2, seed=0)
    pairs = list(zip(looks.weights, looks.weights[1:], strict=False))
    for mask, (old, new) in zip(looks.masks, pairs, strict=False):
        assert torch.equal(old[~mask], new[~mask])
        assert (old[mask] != new[mask]).all()
    never = ~torch.stack(looks.masks[:-1]).any(0)
    assert never.any() and torch.equal(looks.weights[-1][never], Toy().weight[never])


def test_turnover_weighs_the_gradient_as_it_was_before_the_mask_since_the_last_time(model):
    objective = SculpMem(every=2, turnover=1.0, density=0.25)
    objective.start(setting(model))
    old = objective.mask()["w"]
    for step in (torch.arange(96.0), -3 * torch.arange(96.0)):
        model.weight.grad = step.view(16, 6) * ~old
        objective.after_backward()
        objective.after_step()
    share = int(24 * (1 + cos(pi * 2 / 20)) / 2)
    new = objective.mask()["w"] & ~old
    others = torch.arange(96.0).view(16, 6)[~old]
    assert sorted(torch.arange(96.0).view(16, 6)[new].tolist()) == others[-share:].tolist()
    assert not objective.sums["w"].any()


def test_beside_the_target_the_anchors_pictures_are_denoised_and_recalled(model):
    """The released code computes the last term and drops it."""
    known, rng = setting(model), torch.Generator().manual_seed(0)
    shown, again = (known.moments(TARGETS).pick(known.batch, rng) for _ in range(2))

    def by_hand(text, aim):
        read = text.tokens.mean(1)
        left = read @ model.weight.detach().T - aim.flatten(1)
        return 2 / left.numel() * left.T @ read

    expected = by_hand(shown.text, shown.aim)
    expected += 0.5 * by_hand(again.told, again.noise) + 2 * by_hand(again.told, again.aim)
    found = gradient(SculpMem(preserve=0.5, recall=2.0), model, known)
    torch.testing.assert_close(found, expected)


def test_an_interruption_keeps_mask_sums_and_count(model):
    first, second = SculpMem(every=3), SculpMem(every=3)
    first.start(setting(model))
    for step in range(4):
        model.weight.grad = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        first.after_backward()
        first.after_step()
    model.weight.grad = None
    second.start(setting(model))
    assert not torch.equal(first.mask()["w"], second.mask()["w"])
    second.restore(first.state())
    assert torch.equal(first.mask()["w"], second.mask()["w"])
    assert torch.equal(first.sums["w"], second.sums["w"]) and second.done == 4
