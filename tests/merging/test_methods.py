"""Numbers worked by hand, and oracles, for every method but ties."""

import numpy as np
import pytest

from ckptedit.errors import BadParam, Incompatible
from ckptedit.merging import METHODS
from ckptedit.merging.arithmetic.draws import draw, happens
from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.merging.methods.della import relative_ranks


def merged(name, vectors, weights=(), start=None, grams=None, **params):
    given = ArrayStack(
        np.array(vectors, np.float32), tuple(weights), start=start, grams=grams, name="w"
    )
    return merge_arrays(METHODS[name], given, **params)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_linear_divides_by_the_sum_of_the_weights():
    assert merged("linear", [[1, 2], [3, 6]]).tolist() == [2, 4]
    assert merged("linear", [[1, 2], [4, 6]], [2, 1]).tolist() == pytest.approx([2, 10 / 3])


def test_linear_refuses_weights_that_sum_to_zero():
    with pytest.raises(BadParam, match="sum to 0"):
        merged("linear", [[1], [2]], [1, -1])


def test_task_adds_up_and_negates():
    assert merged("task", [[1, 2], [3, 6]]).tolist() == [4, 8]
    assert merged("task", [[1, 2], [3, 6]], [1, -0.5]).tolist() == [-0.5, -1]


def test_add_difference_takes_the_second_from_the_first():
    assert merged("add-difference", [[5, 1], [2, 2]]).tolist() == [3, -1]
    assert merged("add-difference", [[5, 1], [2, 2]], alpha=0.5).tolist() == [1.5, -0.5]


@pytest.mark.parametrize("count", [1, 3])
def test_add_difference_takes_two_edits(count):
    with pytest.raises(BadParam, match=f"add-difference merges 2 edits, got {count}"):
        merged("add-difference", np.ones((count, 2)))


def test_slerp_halves_a_right_angle():
    # A = (1, 0), B = (0, 1): halfway is (A + B) / √2, not (A + B) / 2
    start = np.array([1, 0], np.float32)
    halfway = start + merged("slerp", [[-1, 1]], start=start)
    assert halfway.tolist() == pytest.approx([np.sqrt(0.5)] * 2)


def test_slerp_goes_a_third_of_a_right_angle():
    start = np.array([1, 0], np.float32)
    third = start + merged("slerp", [[-1, 1]], start=start, t=1 / 3)
    assert third.tolist() == pytest.approx([np.cos(np.pi / 6), np.sin(np.pi / 6)])


@pytest.mark.parametrize("t, end", [(0, 0), (1, 1)])
def test_slerp_between_two_edits_ends_at_either(t, end):
    vectors, start = random(2, 50), random(50, seed=1)
    np.testing.assert_allclose(merged("slerp", vectors, start=start, t=t), vectors[end], atol=1e-6)


def test_slerp_of_nearly_parallel_models_is_linear():
    start = random(100)
    near = start + random(100, seed=1) * np.float32(1e-3)
    halfway = merged("slerp", [near - start], start=start)
    np.testing.assert_allclose(halfway, (near - start) / 2, rtol=1e-5)


def test_model_stock_by_the_formula_of_the_paper():
    # cos θ = 1/2 between (1, 0) and (1, √3)/2; N = 2: t = 2 · ½ / (1 + ½) = ⅔
    vectors = np.array([[1, 0], [0.5, np.sqrt(0.75)]])
    assert merged("model-stock", vectors).tolist() == pytest.approx(vectors.mean(0) * 2 / 3)


def test_model_stock_of_orthogonal_edits_stays_at_the_base():
    assert merged("model-stock", [[1, 0], [0, 1]]).tolist() == [0, 0]


def test_model_stock_takes_the_mean_cosine_of_all_pairs():
    vectors = random(3, 40) + 1
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = np.mean([unit[0] @ unit[1], unit[0] @ unit[2], unit[1] @ unit[2]])
    expected = 3 * cosine / (1 + 2 * cosine) * vectors.mean(0)
    np.testing.assert_allclose(merged("model-stock", vectors), expected, rtol=1e-5)


def test_model_stock_needs_two_edits():
    with pytest.raises(BadParam, match="model-stock merges 2 or more edits, got 1"):
        merged("model-stock", [[1.0]])


def test_breadcrumbs_keeps_the_middle():
    vector = [1, -2, 3, -4, 5, 6, 7, 8, 9, 10]
    kept = merged("breadcrumbs", [vector], density=0.5, gamma=0.2)
    assert kept.tolist() == [0, 0, 0, -4, 5, 6, 7, 8, 0, 0]


def test_breadcrumbs_honours_density_where_gamma_would_take_too_much():
    assert merged("breadcrumbs", [[1, 2, 3, 4]], density=1.0, gamma=0.5).tolist() == [1, 2, 3, 4]
    assert merged("breadcrumbs", [[1, 2, 3, 4]], density=0.75, gamma=0.5).tolist() == [1, 2, 3, 0]


def test_breadcrumbs_adds_up_or_elects():
    vectors = [[4.0, 1.0], [-2.0, 3.0]]
    assert merged("breadcrumbs", vectors, density=1, gamma=0).tolist() == [2, 4]
    assert merged("breadcrumbs", vectors, density=1, gamma=0, combine="ties").tolist() == [4, 2]


def test_dare_keeps_what_its_bits_say_and_rescales():
    vector = random(1000)
    kept = happens(draw(7, "w", 0, 0, 1000), 0.25)
    assert 150 < kept.sum() < 350
    out = merged("dare", [vector], density=0.25, seed=7)
    np.testing.assert_allclose(out, np.where(kept, vector * 4, 0), rtol=1e-6)


def test_dare_keeps_the_mean():
    ones = merged("dare", np.ones((1, 200_000)), density=0.1)
    assert ones.mean() == pytest.approx(1, abs=4 * np.sqrt(9 / 200_000))  # four standard errors


@pytest.mark.parametrize("name", ["dare", "della"])
def test_another_seed_or_tensor_drops_other_entries(name):
    given = ArrayStack(random(1, 500), name="one")
    other = ArrayStack(given.vectors, name="other")
    first = merge_arrays(METHODS[name], given, seed=0)
    assert (first != merge_arrays(METHODS[name], given, seed=1)).any()
    assert (first != merge_arrays(METHODS[name], other, seed=0)).any()


def test_density_1_drops_nothing():
    vectors = random(2, 30)
    np.testing.assert_allclose(merged("dare", vectors, density=1), vectors.sum(0), rtol=1e-6)


def test_della_without_epsilon_is_dare():
    vectors = random(2, 30)
    same = merged("della", vectors, density=0.5, epsilon=0, combine="sum", seed=3)
    np.testing.assert_allclose(same, merged("dare", vectors, density=0.5, seed=3), rtol=1e-6)


def test_della_ranks_magnitudes_within_their_row():
    rows = np.array([[3, -1, 2], [-20, 10, 30]], np.float32)
    assert relative_ranks(rows).tolist() == [[1, 0, 0.5], [0.5, 0, 1]]


def test_della_ranks_equal_magnitudes_by_index():
    rows = np.array([[2, -2, 1, 2]], np.float32)
    assert (relative_ranks(rows) * 3).tolist() == [[1, 2, 0, 3]]


def test_della_keeps_large_entries_more_often_and_divides_by_their_chance():
    vector = np.tile([1.0, 2.0, 3.0, 4.0], (20_000, 1))
    out = merged("della", vector[None], density=0.5, epsilon=0.3, combine="sum")
    shares = (out != 0).mean(axis=0)
    np.testing.assert_allclose(shares, [0.2, 0.4, 0.6, 0.8], atol=4 * 0.5 / np.sqrt(20_000))
    np.testing.assert_allclose(out.max(axis=0), np.array([1, 2, 3, 4]) / [0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("density, epsilon", [(0.1, 0.15), (0.9, 0.15), (0.5, -0.1)])
def test_della_refuses_chances_that_are_none(density, epsilon):
    with pytest.raises(BadParam, match="must lie in"):
        merged("della", random(2, 4), density=density, epsilon=epsilon)


@pytest.mark.parametrize("name", ["dare", "della", "breadcrumbs"])
def test_an_unknown_way_to_combine_is_refused(name):
    with pytest.raises(BadParam, match="combine must be sum or ties"):
        merged(name, random(2, 4), combine="mean")


def test_draws_of_a_stretch_are_part_of_the_draws_of_the_whole():
    whole = draw(5, "w", 1, 0, 100)
    for start, count in [(0, 3), (1, 8), (7, 20), (8, 8), (63, 37)]:
        assert np.array_equal(draw(5, "w", 1, start, count), whole[start : start + count])


def gram(vectors):
    return vectors.T @ vectors


def test_fuse_leaves_edits_of_orthogonal_concepts_as_they_are():
    embeddings = [np.eye(6)[:2], np.eye(6)[2:5]]  # two concepts, in different coordinates
    edits = np.stack([random(4, 6), random(4, 6, seed=1)])
    out = merged("fuse", edits, grams=np.stack([gram(e) for e in embeddings]), ridge=1e-7)
    for edit, e in zip(edits, embeddings, strict=True):
        np.testing.assert_allclose(out @ e.T, edit @ e.T, atol=1e-5)
    assert np.abs(out[:, 5]).max() < 1e-5  # no embedding there: the base stays


def test_fuse_minimises_the_objective_of_the_paper():
    rng = np.random.default_rng(3)
    embeddings, edits = rng.standard_normal((2, 5, 6)), random(2, 4, 6, seed=4)
    grams = np.stack([gram(e) for e in embeddings])
    ridge = 0.01
    out = merged("fuse", edits, grams=grams, ridge=ridge).astype(np.float64)
    energy = np.trace(grams.sum(0)) / 6

    def objective(w):
        fit = sum(((w - d) @ e.T).ravel() @ ((w - d) @ e.T).ravel()
                  for d, e in zip(edits, embeddings, strict=True))  # fmt: skip
        return fit + ridge * energy * (w**2).sum()

    best = objective(out)
    for _ in range(20):
        assert objective(out + 1e-2 * rng.standard_normal(out.shape)) > best


def test_fuse_needs_a_gram_matrix_of_every_edit():
    with pytest.raises(Incompatible, match="edit 1 carries no Gram matrix"):
        merged("fuse", random(2, 4, 6))


def test_fuse_refuses_a_weight_of_another_width():
    with pytest.raises(Incompatible, match=r"reads? embeddings, but w is \[4, 5\]"):
        merged("fuse", random(2, 4, 5), grams=np.stack([np.eye(6)] * 2))


def test_fuse_refuses_a_ridge_of_zero():
    with pytest.raises(BadParam, match="ridge must be above 0"):
        merged("fuse", random(2, 4, 6), grams=np.stack([np.eye(6)] * 2), ridge=0)
