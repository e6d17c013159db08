"""Selective fine-tuning: which weights it picks, and that the rest keeps its bits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from laws.linear import DIM, OUT, Linear, setting
from torch.nn import Parameter

from ckptedit.deltas.change import LowRank
from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.erasure.train import train
from ckptedit.errors import BadParam
from ckptedit.guards.gradproj_soft import GradProjSoft
from ckptedit.guards.selft import WAYS, SelFT


def scores(model, known):
    """|W · Σ 2 (W e - a) eᵀ|, in numpy."""
    shown = known.moments(WAYS)
    weight, tokens = model.weight.detach().numpy(), shown.text.tokens[:, 0].numpy()
    missed = tokens @ weight.T - shown.aim.numpy()
    return np.abs(weight * (2 * missed.T @ tokens))


def test_the_top_share_of_weight_times_gradient_may_move():
    model = Linear()
    known = setting(model)
    guard = SelFT(top=0.1)
    guard.start(known)
    found, expected = guard.mask()["w"].numpy(), scores(model, known)
    assert found.sum() == round(0.1 * OUT * DIM)
    assert expected[found].min() > expected[~found].max()


def test_rows_are_picked_by_the_mean_of_their_scores():
    model = Linear()
    known = setting(model)
    guard = SelFT(top=0.5, by="row")
    guard.start(known)
    found = guard.mask()["w"].numpy()
    rows = scores(model, known).mean(1)
    assert found[:, :1].repeat(DIM, 1).tolist() == found.tolist()
    assert set(np.flatnonzero(found[:, 0])) == set(np.argsort(rows)[-3:])


class Two(Linear):
    """W = U + V, so that both have one gradient; V is a hundred times as large."""

    def __init__(self):
        super().__init__()
        self.large = Parameter(100 * self.weight.detach())

    def __call__(self, moments):
        return moments.text.tokens.flatten(0, 1) @ (self.weight + self.large).T


def test_all_weights_compete_with_each_other():
    model = Two()
    known = replace(setting(model), weights={"small": model.weight, "large": model.large})
    guard = SelFT(top=0.4)
    guard.start(known)
    found = guard.mask()
    assert found["small"].sum() < 0.1 * OUT * DIM < 0.7 * OUT * DIM < found["large"].sum()


def test_rows_go_with_directions_and_the_edit_keeps_its_rank():
    model = Linear()
    before = model.weight.detach().clone()
    guards = [GradProjSoft(rank=2), SelFT(top=0.5, by="row")]
    made = train(ConAbl(), guards, setting(model), lr=1e-2, seed=0)
    moves = guards[1].mask()["w"]
    edit = made.edits["w"]
    assert isinstance(edit, LowRank)
    change = torch.as_tensor(edit.stretch(0, OUT * DIM)).reshape(OUT, DIM)
    assert torch.equal(model.weight[~moves], before[~moves]) and not change[~moves].any()
    assert (change[moves] != 0).all()


def test_single_entries_do_not_go_with_a_few_directions_and_the_refusal_says_what_does():
    with pytest.raises(BadParam, match="mask less, or whole rows"):
        train(ConAbl(), [GradProjSoft(), SelFT()], setting(Linear()), lr=1e-2, seed=0)


def test_a_weight_of_which_nothing_may_move_is_left_alone():
    model = Two()
    known = replace(setting(model), weights={"small": model.weight, "large": model.large})
    guard = SelFT(top=1 / (2 * OUT), by="row")
    made = train(ConAbl(), [GradProjSoft(), guard], known, lr=1e-2, seed=0)
    moved = {name: bool(edit.stretch(0, OUT * DIM).any()) for name, edit in made.edits.items()}
    assert moved == {"small": False, "large": True}
