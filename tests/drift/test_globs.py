import pytest

from ckptedit.errors import BadParam, UnknownName
from ckptedit.globs import matches, select


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.b.c", False),
        ("a.**.c", "a.b.b.c", True),
        ("a.**.c", "a.c", True),
        ("a.**", "a.b.c", True),
        ("a.**", "a", False),
        ("**.weight", "weight", True),
        ("**.weight", "x.preweight", False),
        ("**", "anything.at.all", True),
        ("*", "a.b", False),
        ("to_?.w", "to_k.w", True),
        ("to_?.w", "to_.w", False),
        ("**.to_[kv].weight", "x.attn2.to_v.weight", True),
        ("**.to_[kv].weight", "x.attn2.to_q.weight", False),
        ("to_[!kv]", "to_q", True),
        ("to_[!kv]", "to_k", False),
        ("layers.[0-3].w", "layers.2.w", True),
        ("a+b.(c)", "a+b.(c)", True),
        ("a.b", "aXb", False),
        ("re:.*\\.to_[kv]", "x.to_k", True),
        ("re:to_[kv]", "x.to_k", False),
        ("line**", "line\nbreak", True),
    ],
)
def test_a_pattern_fits_the_names_it_says(pattern, name, fits):
    assert matches(name, [pattern]) is fits


def test_the_last_pattern_that_fits_decides():
    names = ["a.w", "a.b", "c.w"]
    assert select(names, ["**.w", "!a.*"]) == ["c.w"]
    assert select(names, ["**.w", "!a.*", "a.w"]) == ["a.w", "c.w"]


def test_a_list_that_begins_with_a_denial_takes_away_from_all():
    assert select(["a.w", "b.w", "c"], ["!*.w"]) == ["c"]


def test_no_patterns_pick_everything_in_its_order():
    assert select(["b", "a"], []) == ["b", "a"]


@pytest.mark.parametrize("pattern", ["x.**", "!x.**"])
def test_a_pattern_that_fits_nothing_is_an_error_with_a_hint(pattern):
    with pytest.raises(UnknownName, match=r"fits none of the 1 tensors; did you mean 'y.weight'"):
        select(["y.weight"], [pattern.replace("**", "weight")])


@pytest.mark.parametrize("pattern", ["", "!", "re:("])
def test_a_malformed_pattern_is_an_error(pattern):
    with pytest.raises(BadParam):
        select(["a"], [pattern])
