"""Double projections: what goes goes exactly, what stays stays exactly."""

import numpy as np
import pytest
import torch
from textbook import STAY, columns, dense, request, weights

from ckptedit.deltas.change import LowRank
from ckptedit.erasure.closed_forms.dp import DP
from ckptedit.errors import BadParam


def textbook(w, c, stay):
    """ΔW of one target, as the paper writes it: c [d], stay [d, m]."""
    left, strengths, _ = np.linalg.svd(stay)
    free = left[:, (strengths > 1e-6 * strengths[0]).sum() :]  # U₂ [d, d - k]
    basis = np.linalg.qr(stay)[0]
    x = free.T @ c
    return np.outer(w @ (basis @ basis.T @ c - c), x @ free.T) / (x @ x)


def test_of_one_target_it_is_the_papers_formula(words):
    asked, given = request("van gogh", earlier=()), weights()
    c, stay = columns(words, ["van gogh"])[:, 0], columns(words, [*STAY, "photo"])
    change = DP().solve(asked, words, given)
    assert isinstance(change.edits["w0"], LowRank) and change.edits["w0"].up.shape[1] == 1
    for name, weight in given.items():
        wanted = textbook(weight.double().numpy(), c, stay)
        np.testing.assert_allclose(dense(change, name), wanted, atol=1e-5)


def test_what_stays_does_not_move_and_targets_become_their_anchors(words):
    asked, given = request("van gogh", "castle"), weights(1)
    delta, w = dense(DP(aim="anchor").solve(asked, words, given)), given["w0"].double().numpy()
    c, photo = columns(words, ["van gogh", "castle", "monet"]), columns(words, ["photo"] * 3)
    np.testing.assert_allclose(delta @ c, w @ (photo - c), atol=1e-4)
    assert np.abs(delta @ columns(words, [*STAY, "photo"])).max() < 1e-4
    assert np.linalg.matrix_rank(delta, tol=1e-4) == 3


@pytest.mark.parametrize("aim", ["safe", "anchor"])
def test_twice_is_once(words, aim):
    asked, given = request("van gogh", "castle"), weights(1)
    first = dense(DP(aim=aim).solve(asked, words, given))
    edited = {"w0": given["w0"].double() + torch.from_numpy(first)}
    again = dense(DP(aim=aim).solve(asked, words, edited))
    assert np.linalg.norm(again) < 1e-4 * np.linalg.norm(first)


def test_a_target_within_what_stays_is_refused(words):
    asked = request("hokusai", earlier=())
    with pytest.raises(BadParam, match=r"only .* of 'hokusai' lies outside of what stays"):
        DP().solve(asked, words, weights(1))
