"""Merges that grow by one edit at a time end where `merge` of all edits does."""

import numpy as np
import pytest

from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.merging.methods import METHODS
from ckptedit.merging.recipe import Recipe
from ckptedit.merging.running import RUNNING
from ckptedit.merging.running.grow import can_grow

CASES = {
    "task": [{}],
    "linear": [{}],
    "ties": [{}, {"density": 1.0}, {"vote": "count"}, {"compat": "mergekit"}, {"compat": "peft"}],
}
EXACT = {"task", "ties"}


def deltas(count: int) -> np.ndarray:
    """With many equal magnitudes, so that cuts have ties and votes cancel."""
    values = np.random.default_rng(3).integers(-4, 5, (count, 37)) / 8
    return values.astype(np.float32) * np.float32(0.3)


def test_every_method_that_can_be_continued_is_tried_here():
    assert set(CASES) == set(RUNNING) <= set(METHODS)


@pytest.mark.parametrize(
    ("method", "params"), [(name, params) for name, each in CASES.items() for params in each]
)
def test_after_every_edit_it_is_the_merge_of_all_so_far(method, params):
    recipe = Recipe(method, params)
    assert can_grow(recipe)
    sums = RUNNING[method](**recipe.resolved_params())
    parts = sums.empty(37)
    edits = deltas(6)
    for count, delta in enumerate(edits, start=1):
        sums.fold(parts, delta)
        whole = ArrayStack(edits[:count])
        expected = merge_arrays(METHODS[method], whole, **recipe.resolved_params())
        found = sums.merged(parts, count)
        if method in EXACT:
            assert np.array_equal(found, expected), count
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("method", "params"),
    [("ties", {"compat": "reference"}), ("ties", {"trim_scope": "model"}), ("dare", {})],
)
def test_what_looks_at_the_whole_is_not_continued(method, params):
    assert not can_grow(Recipe(method, params))
