import numpy as np
import pytest
from both_ways import both_ways

from ckptedit.errors import BadParam, UnknownName
from ckptedit.merging import stack
from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.merging.methods import ties_agreement as agreement
from ckptedit.merging.methods.ties import ties

way = both_ways(agreement, "COMPILED")

# Three task vectors of three weights, worked by hand:
#   weight 0: votes  5 -1 -1, sum  3, elects +, and 5 alone agrees
#   weight 1: votes -1 -1  3, sum  1, elects +, and 3 alone agrees
#   weight 2: votes  1  2 -9, sum -6, elects -, and -9 alone agrees
# Counting heads instead of mass elects - - +, and gives -1 -1 1.5.
VECTORS = [[5.0, -1.0, 1.0], [-1.0, -1.0, 2.0], [-1.0, 3.0, -9.0]]


def merged(vectors, weights=(), **params):
    return merge_arrays(ties, ArrayStack(np.array(vectors), tuple(weights)), **params).tolist()


def test_elects_by_mass_and_averages_those_who_agree():
    assert merged(VECTORS, density=1) == [5, 3, -9]


def test_elects_by_heads_if_told_to():
    assert merged(VECTORS, density=1, vote="count") == [-1, -1, 1.5]


def test_averages_over_agreeing_edits_only():
    assert merged([[1, 4], [3, 0], [-1, 0]], density=1) == [2, 4]


def test_a_cancelled_vote_leaves_the_base_alone():
    assert merged([[2], [-2]], density=1) == [0]
    assert merged([[2], [-1]], density=1, vote="count") == [0]


def test_trimmed_entries_neither_vote_nor_count():
    vectors = [[4, 1], [-1, 6]]
    assert merged(vectors, density=0.5) == [4, 6]
    assert merged(vectors, density=1) == [4, 3.5]


def test_keeps_the_top_fifth_by_default_as_the_paper_does():
    assert merged([np.arange(1, 11)]) == [0] * 8 + [9, 10]


@pytest.mark.parametrize("density, kept", [(0.1, 1), (0.25, 2), (0.35, 4), (1, 10), (0.01, 1)])
def test_keeps_exactly_the_rounded_share(density, kept):
    assert np.count_nonzero(merged([np.full(10, 3.0)], density=density)) == kept


def test_of_equal_magnitudes_the_lowest_index_is_kept():
    assert merged([[1, -2, 2, 5, -2]], density=0.6) == [0, -2, 2, 5, 0]


def test_a_negative_weight_votes_the_other_way():
    assert merged([[1, 1], [3, 3]], [1, -1], density=1) == [-3, -3]


def test_a_weight_scales_a_vector_and_the_count_divides():
    assert merged([[1.0], [3.0]], [2, 1], density=1) == [2.5]


def test_model_scope_takes_one_threshold_for_all_tensors(monkeypatch):
    monkeypatch.setattr(stack, "STRETCH", 2)
    small = ArrayStack(np.array([[1.0, 2, 3, 4]]), name="small")
    large = ArrayStack(np.array([[10.0, 30, 20, 4]]), name="large")
    small.model = large.model = stack.WholeMerge(lambda: iter([small, large]))
    assert merge_arrays(ties, small, density=0.5, trim_scope="model").tolist() == [0, 0, 0, 4]
    assert merge_arrays(ties, large, density=0.5, trim_scope="model").tolist() == [10, 30, 20, 0]
    assert merge_arrays(ties, large, density=0.5).tolist() == [0, 30, 20, 0]


def test_counts_the_entries_in_which_somebody_was_outvoted():
    given = ArrayStack(np.array(VECTORS))
    merge_arrays(ties, given, density=1)
    assert given.tally.counts == {"conflicts": 3}


@pytest.mark.parametrize("density", [0, -0.1, 1.1, float("nan")])
def test_rejects_a_density_outside_its_range(density):
    with pytest.raises(BadParam, match="density must be in"):
        merged(VECTORS, density=density)


def test_rejects_an_unknown_tool():
    with pytest.raises(UnknownName, match="no compat is called 'meh'"):
        merged(VECTORS, compat="meh")


@pytest.mark.parametrize("compat", ["reference", "sd-mecha"])
def test_refuses_weights_where_the_other_tool_knows_none(compat):
    with pytest.raises(BadParam, match="knows no weights"):
        merged(VECTORS, [1, 2, 1], compat=compat)


# What four tools make of the same task vectors, worked by hand from their sources. Two vectors of
# five, density 0.5. Magnitudes 5 4 3 3 1 and 1 2 6 6 2 (the second has equals at its cut).
#   kept of the first:  mergekit, peft int(2.5) = 2: 5 4;   sd-mecha 5 - int(2.5) + 1 = 4th of the
#                       smallest ... = the 4 largest, with equals: 5 4 3 3
PAIR = [[5.0, -4.0, 3.0, 3.0, 1.0], [-1.0, 2.0, -6.0, 6.0, 2.0]]


@pytest.mark.parametrize(
    "compat, expected",
    [
        # two kept of each: 5 -4 . . . and . . -6 6 .
        ("mergekit", [5, -4, -6, 6, 0]),
        ("peft", [5, -4, -6, 6, 0]),
        # four kept of each, with equals: 5 -4 3 3 . and . 2 -6 6 2; heads cancel at entries 1, 2
        ("sd-mecha", [5, 0, 0, 4.5, 2]),
        # int(2.5) + 1 = 3 kept with equals: 5 -4 3 3 . and . 2 -6 6 2
        ("reference", [5, -4, -6, 4.5, 2]),
    ],
)
def test_compat_takes_the_other_tools_choices(compat, expected):
    assert merged(PAIR, density=0.5, compat=compat) == expected


def test_reference_gives_a_cancelled_vote_the_sign_most_elected():
    assert merged([[2, 3, 3], [-2, 3, 3]], density=1, compat="reference") == [2, 3, 3]
    assert merged([[2, -3, -3], [-2, -3, -3]], density=1, compat="reference") == [-2, -3, -3]
    assert merged([[2, 3, -3], [-2, 3, -3]], density=1, compat="reference") == [-2, 3, -3]


@pytest.mark.parametrize("compat", ["mergekit", "peft"])
def test_mergekit_and_peft_give_a_cancelled_vote_to_plus(compat):
    assert merged([[2], [-2]], density=1, compat=compat) == [2]


def test_mergekit_divides_by_weights_and_peft_by_the_count():
    assert merged([[2.0], [4.0]], [1, 3], density=1, compat="mergekit") == [3.5]
    assert merged([[2.0], [4.0]], [1, 3], density=1, compat="peft") == [7]


def test_weights_vote_in_mergekit_but_not_in_peft():
    assert merged([[2.0], [-3.0]], [3, 1], density=1, compat="mergekit") == [2]
    assert merged([[2.0], [-3.0]], [3, 1], density=1, compat="peft") == [-3]
