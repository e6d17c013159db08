"""Orthogonal erasure: a rotation, and the best one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import orth, polar
from scipy.stats import special_ortho_group
from textbook import STAY, columns, dense, request, weights

from ckptedit.erasure.closed_forms.oce import OCE

FORM = {"erase": 3.0, "general": 0.5, "preserve": 0.3, "ridge": 1.5}


def target(words, w):
    """M [out, out] as the paper writes it, and the targets' unit."""
    c, goal = columns(words, ["van gogh", "castle"]), columns(words, ["photo"] * 2)
    c0, eye = columns(words, STAY), np.eye(len(w))
    gone, stead = (orth(w @ each) @ orth(w @ each).T for each in (c, goal))
    rest = 0.5 * words.general().numpy() + 0.3 * c0 @ c0.T + 1.5 * np.eye(len(c0))
    unit = ((w @ c) ** 2).sum() / 2
    return w @ rest @ w.T - 3 * unit * gone @ (eye - stead)


@pytest.mark.parametrize("out", [24, 48])  # fewer rows than the text is wide, and more
def test_it_is_procrustes_rotation(words, out):
    asked, given = request("van gogh", "castle", earlier=()), weights(3, out)
    solution = OCE(**FORM).solve(asked, words, given)
    for name, weight in given.items():
        w = weight.double().numpy()
        aim, new = target(words, w), w + dense(solution, name)
        np.testing.assert_allclose(new.T @ new, w.T @ w, atol=1e-4)  # lengths and angles
        rotation = new @ np.linalg.pinv(w)
        if out <= w.shape[1]:
            assert np.linalg.det(rotation) > 0
        score = np.trace(rotation.T @ aim)
        best = polar(aim)[0]
        if out > w.shape[1] or np.linalg.det(best) > 0:
            np.testing.assert_allclose(new, best @ w, atol=1e-4)
        rng = np.random.default_rng(0)
        for _ in range(20):  # no other rotation near it does better
            turn = special_ortho_group.rvs(out, random_state=rng)
            near = polar(np.eye(out) + 0.1 * (turn - turn.T))[0]
            assert np.trace((near @ rotation).T @ aim) < score


def test_a_reflection_is_turned_where_it_weighs_least(words):
    """One target in few rows: the best orthogonal matrix reflects its direction."""
    asked, given = request("van gogh", earlier=()), weights(4, 5)
    form = OCE(**FORM | {"erase": 100.0})
    solution = form.solve(asked, words, given)
    reflected = 0
    for name, weight in given.items():
        w = weight.double().numpy()
        rotation = (w + dense(solution, name)) @ np.linalg.pinv(w)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)
        c, goal, c0 = (columns(words, n) for n in (["van gogh"], ["photo"], STAY))
        gone, stead = (orth(w @ each) @ orth(w @ each).T for each in (c, goal))
        rest = 0.5 * words.general().numpy() + 0.3 * c0 @ c0.T + 1.5 * np.eye(len(c0))
        aim = w @ rest @ w.T - 100 * ((w @ c) ** 2).sum() * gone @ (np.eye(5) - stead)
        u, s, vt = np.linalg.svd(aim)
        reflected += np.linalg.det(u @ vt) < 0
        best = s.sum() - 2 * s[-1] * (np.linalg.det(u @ vt) < 0)
        assert np.trace(rotation.T @ aim) == pytest.approx(best, rel=1e-4)
    assert reflected


def test_with_rows_to_spare_a_reflection_of_the_values_is_a_rotation(words):
    asked, given = request("van gogh", earlier=()), weights(4, 48)
    solution = OCE(**FORM | {"erase": 100.0}).solve(asked, words, given)
    reflected = 0
    for name, weight in given.items():
        w = weight.double().numpy()
        c, goal, c0 = (columns(words, n) for n in (["van gogh"], ["photo"], STAY))
        columns_of_w, small = np.linalg.qr(w)
        gone, stead = (orth(small @ each) @ orth(small @ each).T for each in (c, goal))
        rest = 0.5 * words.general().numpy() + 0.3 * c0 @ c0.T + 1.5 * np.eye(len(c0))
        unit = 100 * ((w @ c) ** 2).sum()
        best = polar(small @ rest @ small.T - unit * gone @ (np.eye(len(small)) - stead))[0]
        reflected += np.linalg.det(best) < 0
        new = w + dense(solution, name)
        np.testing.assert_allclose(new, columns_of_w @ best @ small, atol=1e-4)
    assert reflected


def test_a_target_that_is_its_anchor_moves_nothing(words):
    asked = request("van gogh", earlier=())
    asked = replace(asked, targets=(replace(asked.targets[0], anchor="van gogh"),))
    assert np.abs(dense(OCE().solve(asked, words, weights(1)))).max() < 1e-6
