"""Intervals: worked by hand, beside scipy's, and how often they hold what they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from ckptedit.evaluation.intervals import FEW, interval
from ckptedit.evaluation.score import Drawn, score
from ckptedit.evaluation.suite import Cell, Suite

COIN = [0.0] * 12 + [1.0] * 28


def test_where_all_agree_it_is_the_exact_interval_of_a_share():
    for n in (1, 10, 100):
        exact = binomtest(n, n).proportion_ci(0.95, method="exact")
        assert interval([[1.0] * n]) == pytest.approx((exact.low, 1))
        assert interval([[0.0] * n]) == pytest.approx((0, 1 - exact.low))
        assert interval([[0.0] * n], within=(-1, 1))[0] == pytest.approx(exact.low - 1)


def test_where_all_agree_it_counts_what_would_be_drawn_again():
    """Eight concepts stand for others as eight units do, however often each was drawn."""
    exact = binomtest(8, 8).proportion_ci(0.95, method="exact")
    assert interval([[1.0] * 50] * 8, whole=True) == pytest.approx((exact.low, 1))
    assert interval([[1.0] * 50] * 8) == interval([[1.0] * 400])
    few = [[1.0] * 50] * (FEW - 1)
    assert interval(few, whole=True) == interval([[1.0] * 50 * (FEW - 1)])


def test_it_is_the_percentile_interval_of_scipy():
    mine = interval([COIN])
    theirs = bootstrap((COIN,), np.mean, method="percentile", rng=np.random.default_rng(1))
    assert mine == pytest.approx(tuple(theirs.confidence_interval), abs=0.026)  # one picture of 40
    assert mine == interval([COIN])  # the same each time


def test_groups_that_stand_for_others_are_drawn_whole():
    """Within each concept all pictures agree, so that only the choice of concepts can vary."""
    concepts = [[1.0] * 50, [0.0] * 50] * 4
    low, high = interval(concepts, whole=True)
    assert low == pytest.approx(0.125, abs=0.01) and high == pytest.approx(0.875, abs=0.01)
    assert interval(concepts) == (0.5, 0.5)  # a concept that is asked for is always there
    assert interval(concepts[: FEW - 1], whole=True) == (0.5, 0.5)  # too few to stand for others


def test_groups_of_one_are_drawn_among_each_other() -> None:
    assert interval([[0.0], [1.0]]) == interval([[0.0, 1.0]]) == (0, 1)
    low, high = interval([[0.2], [0.3], [0.4]], whole=True, pooled=True, within=None)
    assert low < 0.25 and high > 0.35


def test_a_mean_of_groups_is_not_the_mean_of_all_values():
    low, high = interval([[1.0] * 90, [0.0, 1.0] * 5])
    assert (low + high) / 2 == pytest.approx(0.75, abs=0.02)
    low, high = interval([[1.0] * 90, [0.0, 1.0] * 5], pooled=True)
    assert (low + high) / 2 == pytest.approx(0.95, abs=0.02)


def test_nothing_has_no_interval():
    assert interval([]) is interval([[]]) is interval([[0.5]], within=None) is None


def test_it_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    tries = [interval([(rng.random(60) < 0.8).astype(float)]) for _ in range(200)]
    assert 0.88 <= np.mean([low <= 0.8 <= high for low, high in tries]) <= 1.0


def drawn(seen: dict[tuple[str, str], str]) -> list[Drawn]:
    return [Drawn(Cell(*cell, 0), style, cell[1], 0.5) for cell, style in seen.items()]


THINGS = ("Cat", "Key", "Tree", "House")
SUITE = Suite(("Monet",), ("Monet", "Neon"), THINGS, 1)
CELLS = [(style, thing) for style in SUITE.styles for thing in THINGS]


def test_differences_are_of_the_same_cells():
    """Two judgements of four differ, both the same way: 0.5, and no wider than that allows."""
    old = dict(zip(CELLS, ["Monet"] * 4 + ["Neon"] * 4, strict=True))
    new = old | {("Monet", "Cat"): "Photo", ("Monet", "Key"): "Photo"}
    both = score(drawn(new), SUITE, set(), drawn(old))
    assert both.against["ua"] == 0 and both.ua == 0.5
    moved = both.differences["ua"]
    assert moved.value == 0.5 and moved.interval == (0.0, 1.0)
    swapped = score(drawn(old), SUITE, set(), drawn(new)).differences["ua"]
    assert (swapped.value, swapped.interval) == (-0.5, (-1.0, 0.0))


def test_noise_that_both_share_does_not_widen_a_difference():
    """Half of the pictures fail on both: each figure is unsure, their difference is not."""
    half = dict(zip(CELLS, ["Monet", "Photo"] * 2 + ["Neon"] * 4, strict=True))
    both = score(drawn(half), SUITE, set(), drawn(half))
    assert both.intervals["ua"] == (0.0, 1.0)
    assert both.differences["ua"].interval == pytest.approx((0.025**0.25 - 1, 1 - 0.025**0.25))


def test_every_figure_says_what_was_drawn_again():
    scores = score(drawn(dict(zip(CELLS, ["Monet"] * 8, strict=True))), SUITE, set())
    assert scores.resampled["ua"] == scores.resampled["ra_i"] == "picture"
    assert scores.resampled.keys() == scores.intervals.keys()
    assert all(row.interval is not None for row in scores.per_concept)
