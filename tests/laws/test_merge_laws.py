"""What any merge method must satisfy. A new line in METHODS is tested here without a new test.

A law that a method has good reason not to keep is listed with the reason; a method that is not
listed keeps all of them.
"""

import sys

import numpy as np
import pytest

from ckptedit.errors import BadParam, UnknownName
from ckptedit.merging import METHODS, stack
from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.params import defaults, hyperparameters

SHAPES = [(), (5,), (6, 4), (2, 3, 3, 3), (0, 4)]
MATRIX_ONLY = {"fuse": "it needs embeddings of the width of the weight"}
EDITS = {"slerp": 2, "add-difference": 2}  # how many they take, where it is not any number
EXEMPT = {
    ("copies", "task"): "it adds them up",
    ("copies", "breadcrumbs"): "it adds them up",
    ("copies", "add-difference"): "the difference of copies is nothing",
    ("copies", "dare"): "it adds up random parts",
    ("copies", "della"): "each entry is divided by its own chance",
    ("order", "add-difference"): "B - C is not C - B",
    ("order", "dare"): "each edit has random bits of its own",
    ("order", "della"): "each edit has random bits of its own",
    ("entries", "dare"): "each entry has random bits of its own",
    ("entries", "della"): "each entry has random bits of its own",
    ("entries", "fuse"): "columns are coordinates of the embeddings",
}


PARAMS = {("copies", "fuse"): {"ridge": 1e-4}}  # a larger one pulls towards the base, as it should


def skip_if_exempt(law, name):
    if (law, name) in EXEMPT:
        pytest.skip(EXEMPT[law, name])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=list(METHODS))
def name(request):
    return request.param


def random_stack(name, rng, shape=(8, 6), **kwargs):
    count = EDITS.get(name, 3)
    vectors = rng.standard_normal((count, *shape)).astype(np.float32)
    root = rng.standard_normal((count, shape[-1], 9)) if len(shape) == 2 else None
    grams = None if root is None else root @ root.transpose(0, 2, 1)
    return ArrayStack(vectors, grams=grams, **kwargs)


def replaced(old, vectors):
    return ArrayStack(vectors, grams=old.grams, start=old.start)


def run(name, given, **params):
    return merge_arrays(METHODS[name], given, **params)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_keeps_the_shape_and_its_input_and_computes_in_float32(name, rng, shape):
    if name in MATRIX_ONLY and len(shape) != 2:
        pytest.skip(MATRIX_ONLY[name])
    given = random_stack(name, rng, shape)
    before = given.vectors.copy()
    merged = run(name, given)
    assert merged.shape == shape and merged.dtype == np.float32
    assert np.array_equal(given.vectors, before)
    assert np.isfinite(merged).all()


def test_no_change_merges_to_no_change(name, rng):
    given = random_stack(name, rng, start=rng.standard_normal((8, 6)).astype(np.float32))
    assert not run(name, replaced(given, np.zeros_like(given.vectors))).any()


def test_something_changes_if_the_edits_change_something(name, rng):
    assert run(name, random_stack(name, rng)).any()


def test_the_order_of_edits_does_not_matter(name, rng):
    skip_if_exempt("order", name)
    given = random_stack(name, rng, (40, 30))
    turned = ArrayStack(given.vectors[::-1], grams=given.grams[::-1])
    np.testing.assert_allclose(run(name, turned), run(name, given), rtol=1e-4, atol=1e-5)


def test_copies_of_one_edit_merge_as_that_edit(name, rng):
    skip_if_exempt("copies", name)
    given = random_stack(name, rng)
    copies = np.repeat(given.vectors[:1], len(given.vectors), axis=0)
    alone = run("ties", ArrayStack(copies[:1])) if name == "ties" else copies[0]
    found = run(name, replaced(given, copies), **PARAMS.get(("copies", name), {}))
    np.testing.assert_allclose(found, alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("factor", [-1.0, 0.125, 8.0])
def test_scales_with_the_task_vectors(name, rng, factor):
    given = random_stack(name, rng)
    scaled = run(name, replaced(given, given.vectors * np.float32(factor)))
    np.testing.assert_allclose(scaled, run(name, given) * factor, rtol=1e-4, atol=1e-5)


def test_the_order_of_entries_does_not_matter(name, rng):
    skip_if_exempt("entries", name)
    given = random_stack(name, rng, (64,))
    order = rng.permutation(64)
    turned = run(name, replaced(given, given.vectors[:, order]))
    np.testing.assert_allclose(turned, run(name, given)[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stretch", [7, 12, 1 << 20])
def test_the_length_of_stretches_does_not_matter(name, rng, monkeypatch, stretch):
    given = random_stack(name, rng, (40, 6))
    whole = run(name, given)
    monkeypatch.setattr(stack, "STRETCH", stretch)
    np.testing.assert_allclose(run(name, given), whole, rtol=1e-5, atol=1e-6)


def test_the_same_input_gives_the_same_bits(name, rng):
    given = random_stack(name, rng)
    assert run(name, given).tobytes() == run(name, given).tobytes()


def test_an_edit_of_weight_0_counts_for_nothing_or_is_refused(name, rng):
    given = random_stack(name, rng, (40, 30))
    weights = (1.0,) * (len(given.vectors) - 1)
    weighted = ArrayStack(given.vectors, (*weights, 0.0), grams=given.grams)
    try:
        merged = run(name, weighted)
    except BadParam as error:
        assert "takes no weights" in str(error)
        return
    without = ArrayStack(given.vectors[:-1], weights, grams=given.grams[:-1])
    np.testing.assert_allclose(merged, run(name, without), rtol=1e-4, atol=1e-6)


def test_cites_its_paper(name):
    text = sys.modules[METHODS[name].__module__].__doc__
    assert "https://arxiv.org/abs/" in text or "https://doi.org/" in text


def test_hyperparameters_have_defaults_and_are_explained(name):
    method = METHODS[name]
    explained = {"seed", *(line.split(":")[0].strip() for line in method.__doc__.splitlines())}
    assert defaults(method).keys() == hyperparameters(method).keys() <= explained


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(UnknownName, match=r"no merge method is called 'tie'; there are: .*ties"):
        METHODS["tie"]
