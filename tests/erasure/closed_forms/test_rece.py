"""RECE: the derived embedding is the best one, and the steps are those of the textbook."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from textbook import STAY, columns, dense, request, textbook_uce, weights

from ckptedit.erasure.closed_forms.rece import RECE, derived
from ckptedit.erasure.closed_forms.solving import metric

NAMED = ["van gogh", "castle"]


def derived_densely(edited, before, c, bound):
    """ĉ by its definition, with a sum over the weights."""
    ours = sum(w.T @ w for w in edited)
    plain = sum(w.T @ w for w in before)
    cross = sum(w.T @ w0 for w, w0 in zip(edited, before, strict=True))
    share = bound * np.trace(plain) / len(plain)
    return np.linalg.inv(ours + share * np.eye(len(plain))) @ cross @ c


def test_it_is_uce_again_and_again_on_what_was_derived(words):
    asked, given = request(*NAMED, earlier=()), weights()
    c, goal, c0 = columns(words, NAMED), columns(words, ["photo"] * 2), columns(words, STAY)
    before = [weight.double().numpy() for weight in given.values()]
    edited, goes = before, c
    for _ in range(3):
        edited = [textbook_uce(w, goal, goes, c0, 1, 1, 0.5) for w in edited]
        goes = derived_densely(edited, before, c, 0.01)
    solution = RECE(epochs=2, bound=0.01).solve(asked, words, given)
    for i, w in enumerate(before):
        np.testing.assert_allclose(dense(solution, f"w{i}"), edited[i] - w, atol=1e-6)


def test_the_derived_embedding_minimises_what_the_edited_weights_miss():
    rng = np.random.default_rng(0)
    w = [rng.standard_normal((5, 4)) for _ in range(2)]
    c, left, right = rng.standard_normal((3, 4))
    edited = [each + np.outer(each @ left, right) for each in w]
    share = 0.1 * sum((each**2).sum() for each in w) / 4

    def loss(e):
        missed = sum(((new @ e - old @ c) ** 2).sum() for new, old in zip(edited, w, strict=True))
        return missed + share * (e @ e)

    gain = metric({str(i): torch.from_numpy(each) for i, each in enumerate(w)})
    factors = torch.from_numpy(left)[:, None], torch.from_numpy(right)[None]
    found = derived(torch.from_numpy(c)[None], factors, gain, 0.1)[0].numpy()
    np.testing.assert_allclose(found, minimize(loss, np.zeros(4), tol=1e-10).x, atol=1e-4)


def test_the_score_is_of_the_weights_as_edited(words):
    asked, given = request(*NAMED, earlier=()), weights()
    solution = RECE(epochs=1, bound=0.01).solve(asked, words, given)
    c = columns(words, NAMED)
    before = [weight.double().numpy() for weight in given.values()]
    edited = [w + dense(solution, f"w{i}") for i, w in enumerate(before)]
    again = derived_densely(edited, before, c, 0.01)
    for i, name in enumerate(NAMED):
        said = np.concatenate([w @ c[:, i] for w in before])
        says = np.concatenate([w @ again[:, i] for w in edited])
        score = solution.facts["recovery"][name]
        assert score["error"] == pytest.approx(
            np.linalg.norm(says - said) / np.linalg.norm(said), rel=1e-4
        )
        norm = np.linalg.norm(again[:, i]) / np.linalg.norm(c[:, i])
        assert score["norm"] == pytest.approx(norm, rel=1e-4)


def test_each_step_leaves_less_to_recover(words):
    asked, given = request("van gogh", earlier=()), weights()
    errors = [
        RECE(epochs=n, bound=0.05).solve(asked, words, given).facts["recovery"]["van gogh"]["error"]
        for n in range(4)
    ]
    assert errors == sorted(errors) and errors[-1] > 1.2 * errors[0]


def test_an_edit_of_nothing_is_recovered_whole(words):
    asked = request("van gogh", anchor="van gogh", earlier=())
    score = RECE(bound=1e-9).solve(asked, words, weights()).facts["recovery"]["van gogh"]
    assert score["error"] < 1e-3 and score["norm"] == pytest.approx(1, abs=1e-3)
