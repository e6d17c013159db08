"""Unified concept editing against the textbook's dense formula, in float64."""

import json

import numpy as np
import pytest
import torch
from textbook import STAY, columns, dense, request, textbook_uce, weights
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.deltas.change import LowRank
from ckptedit.erasure.closed_forms.sides import Where, sides
from ckptedit.erasure.closed_forms.uce import UCE, even
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint

NAMED = ["van gogh", "castle", "monet"]


@pytest.mark.parametrize("general", [0.0, 0.3])
def test_it_is_the_textbook_formula(words, general):
    asked, given = request("van gogh", "castle"), weights()
    c, goal, c0 = columns(words, NAMED), columns(words, ["photo"] * 3), columns(words, STAY)
    form = UCE(erase=1.3, preserve=0.7, ridge=0.4, general=general)
    change = form.solve(asked, words, given)
    assert isinstance(change.edits["w0"], LowRank)
    assert change.edits["w0"].up.shape[1] == 3  # one direction a target
    more = general * words.general().numpy() if general else 0.0
    for name, weight in given.items():
        w = weight.double().numpy()
        wanted = textbook_uce(w, goal, c, c0, 1.3, 0.7, 0.4, more) - w
        np.testing.assert_allclose(dense(change, name), wanted, atol=1e-6)


def test_over_more_places_than_dimensions_it_is_the_same_formula(words):
    asked, given = request("van gogh"), weights(1)
    form = UCE(read="sentences", positions="all")
    found = sides(asked, words, Where("sentences", "all"))
    c, goal, c0 = (each.numpy().T for each in (found.targets, found.anchors, found.stay))
    assert c.shape[1] > len(c)
    w = given["w0"].double().numpy()
    wanted = textbook_uce(w, goal, c, c0, 1, 1, 0.5) - w
    np.testing.assert_allclose(dense(form.solve(asked, words, given)), wanted, atol=1e-6)


def test_a_small_ridge_moves_the_target_onto_its_anchor_and_nothing_that_stays(words):
    asked, given = request("van gogh", earlier=()), weights(1)
    delta = dense(UCE(ridge=1e-9).solve(asked, words, given))
    name, photo, dog = columns(words, ["van gogh", "photo", "dog"]).T
    w = given["w0"].double().numpy()
    np.testing.assert_allclose(delta @ name, w @ (photo - name), atol=1e-4)
    assert np.abs(delta @ dog).max() < 1e-4


def test_debiasing_makes_a_target_equally_similar_to_all_attributes(words):
    asked, given = request("van gogh", earlier=()), weights(2)
    solution = UCE(ridge=1e-9, debias="castle, empty,an").solve(asked, words, given)
    name, dog, *attributes = columns(words, ["van gogh", "dog", "castle", "empty", "an"]).T

    def values(c, edited=False):
        w = {n: each.double().numpy() for n, each in given.items()}
        moved = {n: each + dense(solution, n) for n, each in w.items()} if edited else w
        return np.concatenate([each @ c for each in moved.values()])

    units = [values(a) / np.linalg.norm(values(a)) for a in attributes]
    before = [unit @ values(name) for unit in units]
    after = [unit @ values(name, edited=True) for unit in units]
    np.testing.assert_allclose(after, np.mean(before), atol=1e-3)
    assert np.ptp(before) > 1
    for kept in (dog, *attributes):
        np.testing.assert_allclose(values(kept, edited=True), values(kept), atol=1e-3)


def test_what_is_even_already_is_left_alone():
    attributes = torch.eye(4, dtype=torch.float64)[None, :2]  # [1, 2, 4]
    target = torch.tensor([[2.0, 2.0, 5.0, -1.0]], dtype=torch.float64)
    gain = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(even(target, attributes, gain), target)
    tilted = torch.tensor([[4.0, 0.0, 5.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(even(tilted, attributes, gain), target)


def test_debiased_names_are_no_erased_ones(tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    command = ["erase", str(tiny), "--concept", "cat", "--method", "uce", "-p", "debias=dog,tree"]
    result = CliRunner().invoke(app, [*command, "-q", "--device", "cpu", "-o", str(out), "--json"])
    assert result.exit_code == 0, result.stderr
    entry = Checkpoint(out).ledger[-1]
    assert entry["targets"] == [] and entry["concepts"] == [] and entry["changed"] == ["cat"]
    assert json.loads(result.stdout)["erases"] is False


@pytest.mark.parametrize("wrong", ["castle", "castle, Castle", ",castle"])
def test_debiasing_needs_two_attributes(wrong):
    with pytest.raises(BadParam, match="two attributes"):
        UCE(debias=wrong)
