"""SPEED against its published formula, with d x d inverses, in float64."""

import numpy as np
import pytest
import torch
from textbook import columns, dense, request, weights

from ckptedit.deltas.change import LowRank
from ckptedit.erasure.closed_forms.sides import Where, sides
from ckptedit.erasure.closed_forms.solving import metric
from ckptedit.erasure.closed_forms.speed import Speed, refined, unmoved


def damages(words, asked, given):
    """‖Δ c0‖ over all weights, of the edit without any protection."""
    found = sides(asked, words, Where(stay="lexicon"))
    c, goal, c0 = (each.numpy().T for each in (found.targets, found.anchors, found.stay))
    step = (goal @ c.T - c @ c.T) @ np.linalg.inv(np.eye(len(c)) + c @ c.T)
    moved = [weight.double().numpy() @ step @ c0 for weight in given.values()]
    return np.sqrt(sum((each**2).sum(axis=0) for each in moved)), c0


@pytest.mark.parametrize("augment", [0, 10])
def test_it_is_the_published_formula(words, augment):
    asked, given = request("van gogh", "castle"), weights()
    damage, c0 = damages(words, asked, given)
    kept = c0[:, damage > damage.mean()]
    moment = kept @ kept.T
    if augment:
        gain = sum(weight.double().numpy().T @ weight.double().numpy() for weight in given.values())
        least = np.linalg.svd(gain)[0][:, -1]
        points = augment * kept.shape[1] * np.outer(least, least)
        moment = (1 + augment) * moment + points
    u, s, _ = np.linalg.svd(moment)
    p = u[:, s < 1e-6 * s[0]] @ u[:, s < 1e-6 * s[0]].T
    c1, goal = columns(words, ["van gogh", "castle", "monet"]), columns(words, ["photo"] * 3)
    c2 = unmoved(words.prompts([""])[0].double()).numpy().T
    eye = np.eye(len(c1))
    m = np.linalg.inv(c1 @ c1.T @ p + eye)
    q = eye - m @ c2 @ np.linalg.inv(c2.T @ p @ m @ c2) @ c2.T @ p
    change = Speed(augment=augment).solve(asked, words, given)
    assert isinstance(change.edits["w0"], LowRank) and change.edits["w0"].up.shape[1] == 3
    for name, weight in given.items():
        wanted = weight.double().numpy() @ (goal @ c1.T - c1 @ c1.T) @ p @ q @ m
        np.testing.assert_allclose(dense(change, name), wanted, atol=1e-6)


def test_the_start_the_empty_prompt_and_what_was_chosen_to_stay_do_not_move(words):
    asked, given = request("van gogh"), weights(1)
    delta = dense(Speed().solve(asked, words, given))
    empty = unmoved(words.prompts([""])[0].double()).numpy()
    chosen = refined(sides(asked, words, Where(stay="lexicon")), metric(given)).numpy()
    assert np.abs(delta).max() > 1e-2 and len(chosen)
    assert np.abs(delta @ empty.T).max() < 1e-4 and np.abs(delta @ chosen.T).max() < 1e-4


def test_only_what_would_move_more_than_the_mean_is_chosen(words):
    asked, given = request("van gogh"), weights()
    damage, c0 = damages(words, asked, given)
    chosen = refined(sides(asked, words, Where(stay="lexicon")), metric(given))
    wanted = torch.from_numpy(c0[:, damage > damage.mean()].T)
    assert 0 < len(wanted) < c0.shape[1]
    torch.testing.assert_close(chosen, wanted)


def test_centroids_are_the_means_of_what_is_nearest_to_them():
    groups = torch.tensor([[0.0, 0.0], [0, 1], [9, 0], [9, 1], [0, 9], [1, 9]]).double()
    found = unmoved(torch.cat([torch.full((1, 2), 5.0).double(), groups]))
    assert found.tolist()[0] == [5, 5]
    assert sorted(found[1:].tolist()) == [[0, 0.5], [0.5, 9], [9, 0.5]]
