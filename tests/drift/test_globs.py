import fnmatch
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ckptedit.errors import BadParam, CkptError, UnknownName
from ckptedit.globs import LONGEST, STEPS, Glob, compiled, literal, matches, select

# The regular expressions that globs once were: right, but not in linear time.
TOKEN = re.compile(r"\*\*\.|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
MEANING = {"**.": r"(?:[^.]*\.)*", "**": r".*", "*": r"[^.]*", "?": r"[^.]", "[!ab]": "[^.ab]"}


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
        ("[z-a]*", "b", False),
        ("[!z-a]*", "b", True),
        ("[!z-a]", ".", False),
        ("a[[]0].w", "a[0].w", True),
        ("a[]].w", "a].w", True),
        ("a[!]].w", "ab.w", True),
        ("a[!]].w", "a].w", False),
        ("a[.w", "a[.w", True),
        ("a[^b]", "a^", True),
        ("[a-c-e]", "-", True),
        ("[a-c-e]", "d", False),
        ("**.**.w", "w", True),
        ("a.**.b.**.c", "a.b.c", True),
        ("***", "a.b", True),
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


@pytest.mark.parametrize(
    "pattern",
    ["", "!", "re:(", "re:a{99999999999}", "re:" + "(" * 500 + ")" * 400, "a" * (LONGEST + 1)],
)
def test_a_malformed_pattern_is_an_error(pattern):
    with pytest.raises(BadParam) as error:
        select(["a"], [pattern])
    assert len(str(error.value)) < 400


def test_a_hint_is_a_pattern_that_fits_the_name():
    with pytest.raises(UnknownName, match=re.escape("did you mean 'layers[[]0].weight'?")):
        select(["layers[0].weight"], ["layers[0].weight"])


def test_a_hint_is_no_name_of_any_length():
    names = ["ab" * 1_000_000, "".join(f"layer{i}." for i in range(33))]
    with pytest.raises(UnknownName, match=r"none of the 2 tensors$"):
        select(names, [names[1][:-1]])


@given(pattern=st.text("ab.*?", max_size=9), name=st.text("ab.", max_size=9))
@example(pattern="**.a**.*b", name="b.a.ab")
@example(pattern="***.a", name=".a")
def test_stars_mean_what_the_regular_expression_says(pattern, name):
    meaning = "".join(MEANING.get(token, re.escape(token)) for token in TOKEN.findall(pattern))
    assert Glob(pattern).fits(name) is bool(re.fullmatch(meaning, name, re.DOTALL))


@given(pattern=st.text("ab-]![^*?", max_size=9), name=st.text("ab-]![^", max_size=6))
def test_within_a_segment_a_glob_is_that_of_fnmatch(pattern, name):
    assert Glob(pattern).fits(name) is fnmatch.fnmatchcase(name, pattern)


@given(name=st.text(st.characters() | st.sampled_from("*?[]!re:."), min_size=1, max_size=30))
@example(name="re:a")
@example(name="!a")
def test_a_literal_pattern_fits_its_name_and_no_other(name):
    assert select([name, f"{name}x", f"x{name}"], [literal(name)]) == [name]
    assert not matches(name.swapcase() + "x", [literal(name)])


@given(pattern=st.text() | st.text("ab[]{}()*+?.!-:|\\0123456789").map("re:".__add__))
def test_any_text_is_a_pattern_or_one_error(pattern):
    try:
        compiled(pattern.removeprefix("!"))("a.b")
    except CkptError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("pattern", ["**.a" * 20, "*a" * 20 + "b", "**a" * 20 + "b", "*?" * 400])
def test_the_time_of_a_match_is_linear_in_the_name(pattern):
    """A regular expression tries a number of ways that grows with a power of the length."""
    glob, name = Glob(pattern), ".a" * 100_000 if "." in pattern else "a" * 200_000
    start = time.process_time()
    glob.fits(name)
    assert time.process_time() - start < 2


def test_what_a_glob_remembers_is_bounded():
    glob = Glob("**.a*b")
    for i in range(2 * STEPS):
        assert not glob.fits(chr(0x10000 + i) + "b")
    assert glob.fits("x.ab") and len(glob._start) < STEPS + 2
