"""Outputs of earlier edits are kept apart from a new one's."""

from dataclasses import replace

import pytest
import torch
from laws.linear import DIM, OUT, Linear, setting

from ckptedit.erasure.freedom import Freedom
from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.erasure.train import train
from ckptedit.errors import BadParam
from ckptedit.guards.gradproj_soft import GradProjSoft
from ckptedit.guards.outputs import Outputs
from ckptedit.guards.selft import SelFT


def earlier(model, *left):
    """The weights before edits that wrote along these."""
    rng = torch.Generator().manual_seed(5)
    past = sum(each[:, None] * torch.randn(1, DIM, generator=rng) for each in left)
    return {"w": model.weight.detach() - past}


def wish(model, known):
    return model.weight.detach() @ (known.anchors.mean((0, 1)) - known.target.mean((0, 1)))


def test_the_leading_outputs_of_what_was_done_before_are_held_beside_any_directions():
    model = Linear()
    known = setting(model)
    strong, weak = torch.eye(OUT)[:2]
    known = replace(known, original=earlier(model, 9 * strong, weak))
    before = model.weight.detach().clone()
    guard = Outputs(rank=1, above=0)
    train(ConAbl(), [guard, GradProjSoft(rank=2)], known, lr=1e-2, seed=0)
    moved = (model.weight.detach() - before).norm(dim=1)
    assert moved[0] < 0.05 * moved[1]  # nearly along the axis
    assert (guard.outputs()["w"].T @ (model.weight.detach() - before)).norm() < 1e-6
    assert torch.linalg.matrix_rank(model.weight.detach() - before, rtol=1e-4) == 2


def test_they_are_held_only_where_the_new_edit_would_write_there():
    model = Linear()
    known = setting(model)
    wanted = wish(model, known)
    across = torch.linalg.qr(torch.stack([wanted, torch.ones(OUT)], 1)).Q[:, 1]
    found = []
    for left in (wanted, across):
        guard = Outputs()
        guard.start(replace(known, original=earlier(model, left)))
        found.append((len(guard.outputs()), *guard.notes()))
    assert found == [
        (1, "outputs of earlier edits were held in 1 of 1 matrices"),
        (0, "outputs of earlier edits were held in 0 of 1 matrices"),
    ]


def test_a_checkpoint_that_was_never_edited_has_no_outputs_to_hold():
    model = Linear()
    guard = Outputs()
    guard.start(replace(setting(model), original={"w": model.weight.detach().clone()}))
    assert not guard.outputs() and not guard.notes()


@pytest.mark.parametrize("by", ["entry", "row"])
def test_outputs_and_masks_hold_together(by):
    model = Linear()
    known = setting(model)
    before = model.weight.detach().clone()
    guards = [Outputs(rank=2, above=0), SelFT(top=0.7, by=by)]
    train(ConAbl(), guards, known, lr=1e-2, seed=0)
    frozen, outputs = ~guards[1].mask()["w"], guards[0].outputs()["w"]
    moved = model.weight.detach() - before
    assert frozen.any() and torch.equal(model.weight[frozen], before[frozen])
    assert (outputs.T @ moved).norm() < 1e-6 < 1e-2 < moved.norm()


def test_single_entries_directions_and_outputs_are_one_too_many():
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[0, 0] = False
    with pytest.raises(BadParam, match="mask whole rows"):
        Freedom(torch.eye(4)[:, :2], mask, torch.eye(3)[:, :1])


def test_a_mask_that_outputs_leave_nothing_of_is_refused():
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[0] = True
    with pytest.raises(BadParam, match="beside the outputs that are held"):
        Freedom(None, mask, torch.eye(3)[:, :1])
