"""The compiled pass of TIES against numpy: the same to the bit, whatever the rules and values."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ckptedit.merging.arithmetic.ranks import EVERYTHING, KEEP_ALL, KEEP_NONE, Threshold
from ckptedit.merging.methods import ties_agreement as agreement
from ckptedit.merging.methods.ties_agreement import Agreement
from ckptedit.merging.methods.ties_rules import RULES, settle
from ckptedit.merging.stack import Stretch

pytestmark = pytest.mark.skipif(not agreement.COMPILED, reason="it was not compiled")

SIZES = st.integers(1, 40) | st.sampled_from([1023, 1024, 1025, 2050])  # blocks have 1024
WEIGHTS = st.sampled_from([1.0, -1.0, 0.3, 2.0])


def both(settled: Agreement, stretch: Stretch) -> list[tuple[list[int], int]]:
    """The bits of what comes out, and the conflicts, of either way."""
    ways = [settled._compiled(stretch), settled._numpy(stretch)]
    return [(merged.view(np.uint32).tolist(), conflicts) for merged, conflicts in ways]


@st.composite
def stretches(draw) -> Stretch:
    """Few different values, so that magnitudes are equal and votes cancel; or any at all."""
    size, count = draw(SIZES), draw(st.integers(1, 5))
    some = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, 1e-40, -1e-40])
    anything = st.floats(-(2.0**100), 2.0**100, width=32)
    deltas = draw(arrays(np.float32, (count, size), elements=some | anything))
    return Stretch(draw(st.integers(0, 3000)), np.zeros(size, np.float32), deltas)


@st.composite
def cuts(draw, stretch: Stretch) -> list[Threshold]:
    """At magnitudes that occur, with the last index before, inside and after the stretch."""
    found = []
    for delta in stretch.deltas:
        limit = abs(draw(st.sampled_from(delta.tolist())))
        last = draw(st.integers(-1, stretch.stop + 1) | st.just(EVERYTHING))
        cut = Threshold(int(np.float32(limit).view(np.uint32)), last)
        found.append(draw(st.sampled_from([cut, KEEP_ALL, KEEP_NONE])))
    return found


@given(data=st.data(), compat=st.sampled_from(list(RULES)), zero=st.sampled_from([-1, 0, 1]))
def test_it_is_numpy_to_the_bit(data, compat, zero):
    stretch = data.draw(stretches())
    rules = settle(compat, None, data.draw(st.sampled_from([None, "mass", "count"])), ())
    weights = data.draw(st.lists(WEIGHTS, min_size=len(stretch.deltas), max_size=5))
    assume(rules.weigh != "never" or set(weights) == {1.0})
    weights = weights[: len(stretch.deltas)]
    settled = Agreement(data.draw(cuts(stretch)), weights, rules, zero)
    with np.errstate(all="ignore"):
        compiled, numpy = both(settled, stretch)
    assert compiled == numpy


def test_a_stretch_of_any_layout_is_taken():
    deltas = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4) - 5)
    settled = Agreement([KEEP_ALL] * 3, [1.0] * 3, RULES["none"], 0)
    compiled, numpy = both(settled, Stretch(0, np.zeros(4, np.float32), deltas))
    assert compiled == numpy


def test_buffers_that_do_not_fit_are_an_error():
    deltas, out = np.zeros((2, 4), np.float32), np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        agreement.compiled(deltas, out, 0, [(0, 0, 1, 1, 1)], (False, 0))
    with pytest.raises(TypeError):
        agreement.compiled(deltas, out, 0, [(0, 0)] * 2, (False, 0))
