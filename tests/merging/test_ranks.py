"""Cuts by magnitude against a plain stable sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ckptedit.merging import stack
from ckptedit.merging.arithmetic import ranks
from ckptedit.merging.arithmetic.ranks import (
    Threshold,
    cut_largest,
    cuts_largest,
    kth_largest,
    magnitude_bits,
)
from ckptedit.merging.arrays import ArrayStack
from ckptedit.merging.methods.ties_model_ranks import model_cut

COARSE = st.integers(-4, 4).map(lambda i: i / 4)  # many equal magnitudes, zeros of both signs
FINE = st.floats(allow_nan=False, allow_infinity=False, width=32)


def kept_by_sorting(vector, keep):
    order = np.argsort(-np.abs(vector), kind="stable")
    kept = np.zeros(len(vector), bool)
    kept[order[:keep]] = True
    return kept


def vectors(values):
    return st.integers(1, 60).flatmap(lambda n: arrays(np.float32, n, elements=values))


@given(vectors(COARSE) | vectors(FINE), st.data())
def test_a_cut_keeps_what_a_stable_sort_keeps(vector, data):
    keep = data.draw(st.integers(1, len(vector)))
    cut = cut_largest(ArrayStack(vector[None]), 0, keep)
    assert np.array_equal(cut.keeps(vector, 0), kept_by_sorting(vector, keep))


def test_cuts_that_are_found_together_are_those_found_apart(monkeypatch):
    rows = np.random.default_rng(0).integers(-5, 5, (3, 500)).astype(np.float32)
    together = cuts_largest(ArrayStack(rows), 100)
    monkeypatch.setattr(ranks, "TOGETHER", 0)
    assert cuts_largest(ArrayStack(rows), 100) == together
    assert [cut_largest(ArrayStack(rows), i, 100) for i in range(3)] == together


@given(vectors(COARSE), st.data())
def test_a_cut_keeps_the_same_in_stretches(vector, data):
    cut = cut_largest(ArrayStack(vector[None]), 0, data.draw(st.integers(1, len(vector))))
    split = data.draw(st.integers(0, len(vector)))
    parts = [cut.keeps(vector[:split], 0), cut.keeps(vector[split:], split)]
    assert np.array_equal(np.concatenate(parts), cut.keeps(vector, 0))


@pytest.mark.parametrize("shape", ["normal", "constant", "sorted", "few values", "one outlier"])
def test_the_kth_largest_is_exact_where_a_sample_misleads(monkeypatch, shape):
    monkeypatch.setattr(ranks, "SAMPLE", 64)
    monkeypatch.setattr(ranks, "PIECE", 1000)
    rng = np.random.default_rng(0)
    vector = {
        "normal": rng.standard_normal(20_000),
        "constant": np.full(20_000, 2.5),
        "sorted": np.linspace(0, 1, 20_000) ** 8,
        "few values": rng.integers(-3, 4, 20_000),
        "one outlier": np.r_[np.zeros(19_999), 7],
    }[shape].astype(np.float32)
    bits = magnitude_bits(vector)
    for keep in (1, 2, 300, 4_000, 19_999, 20_000):
        limit, equals = kth_largest(bits, keep)
        ordered = np.sort(bits)[::-1]
        assert limit == ordered[keep - 1]
        assert equals == np.count_nonzero(ordered[:keep] == limit)


@given(st.lists(vectors(COARSE), min_size=1, max_size=4), st.data())
def test_a_cut_over_a_model_keeps_what_a_stable_sort_of_all_keeps(tensors, data):
    total = sum(map(len, tensors))
    keep = data.draw(st.integers(0, total))
    stacks = [ArrayStack(vector[None], name=str(i)) for i, vector in enumerate(tensors)]
    model = stack.WholeMerge(lambda: iter(stacks))
    cuts = model_cut(model, 0, lambda size: keep)
    kept = [cuts(str(i)).keeps(vector, 0) for i, vector in enumerate(tensors)]
    assert np.array_equal(np.concatenate(kept), kept_by_sorting(np.concatenate(tensors), keep))


def test_magnitudes_ignore_the_sign_and_order_as_floats_do():
    values = np.array([0.0, -0.0, 1e-45, -1e-40, 1, -2, 3e38], np.float32)
    assert (np.diff(magnitude_bits(values).astype(np.int64)) >= 0).all()


def test_trimming_sets_the_rest_to_zero():
    vector = np.array([3, -1, 2, -3], np.float32)
    assert Threshold(magnitude_bits(vector)[2].item()).trim(vector, 0).tolist() == [3, 0, 2, -3]
