"""NAME=VALUE of a hyperparameter: a value of its type, or one line."""

from math import isfinite
from typing import Annotated, Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptedit.errors import BadParam
from ckptedit.params import Within, assignments, convert, defaults, explained, typed


def method(x: int, *, share: float = 0.5, rank: int | None = None, sign: bool = True,
           vote: Literal["mass", "count"] = "mass") -> None:  # fmt: skip
    """A function with one hyperparameter of each type."""


HINTS = {float: float, int: int, bool: bool, int | None: int, Literal["mass", "count"]: str}
# fmt: off
TEXTS = st.text() | st.from_regex(r"[-+]?[0-9]{1,30}(\.[0-9]{0,9})?(e[-+]?[0-9]{1,4})?") | (
    st.sampled_from(["nan", "-inf", "1e400", "-1e400", "9" * 4299, "9" * 4301, "1_0", "\u0663",
                     "none", "0x10", " 1", "1 ", "1e", ".", "true", "\x1b[2J", "\ud800"]))
VALUES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400),
                   st.integers().map(lambda n: 10**5000 + n), st.lists(st.integers()))
# fmt: on


@given(VALUES, st.sampled_from(list(HINTS)))
def test_whatever_is_given_becomes_the_type_or_one_line(value: Any, hint: Any) -> None:
    try:
        found = convert(value, hint, "it")
    except BadParam as error:
        assert str(error).isprintable() and len(str(error)) < 400
        return
    assert isinstance(found, HINTS[hint]) or (found is None and type(None) in get_args(hint))
    if isinstance(found, int | float):
        assert isfinite(found) and abs(found) < 1.8e308
        assert isinstance(found, float) or abs(found) < 2**63


@given(st.lists(st.text() | st.sampled_from(["a=1", "a=2", "=1", "a", "\x1b=1"]), max_size=4))
def test_whatever_is_assigned_is_a_table_or_one_line(texts: list[str]) -> None:
    try:
        found = assignments(texts)
    except BadParam as error:
        assert str(error).isprintable() and len(str(error)) < 1000
    else:
        assert len(found) == len(texts)


@pytest.mark.parametrize(
    "value", ["1e400", "-1e400", "nan", "inf", "1_0", "\u0663", "", " ", "1,5", "9" * 4301, "ten"]
)
def test_what_is_no_finite_number_is_refused(value: str) -> None:
    for name in ("share", "rank"):
        with pytest.raises(BadParam, match=f"^{name} must be "):
            typed(method, {name: value}, "it")


@pytest.mark.parametrize("value", [2**63, -(2**63), "9" * 30, 10**5000], ids=["a", "b", "c", "d"])
def test_an_integer_has_64_bits(value: Any) -> None:
    with pytest.raises(BadParam, match=r"must be below 2\^63, got"):
        typed(method, {"rank": value}, "it")
    assert typed(method, {"rank": 2**63 - 1}, "it") == {"rank": 2**63 - 1}


def test_numbers_are_what_they_say() -> None:
    given = {"share": "-2.5e-1", "rank": "+16", "sign": "no", "vote": "count"}
    assert typed(method, given, "it") == {
        "share": -0.25, "rank": 16, "sign": False, "vote": "count"
    }  # fmt: skip
    assert typed(method, {"rank": "none"}, "it") == {"rank": None}
    assert defaults(method) == {"share": 0.5, "rank": None, "sign": True, "vote": "mass"}


def test_an_unknown_name_is_refused_on_one_line() -> None:
    with pytest.raises(BadParam, match="has no parameter") as caught:
        typed(method, {"a\x1b[2J" + "b" * 9999: 1}, "it")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_a_name_that_is_given_twice_is_refused_on_one_line() -> None:
    with pytest.raises(BadParam, match="is given twice: 1 and 2") as caught:
        assignments(["\x1b[2J=1", "\x1b[2J=2"])
    assert str(caught.value).isprintable()


def ranged(*, share: Annotated[float, Within("(0, 1]"), "of the whole"] = 0.5,
           rank: Annotated[int | None, Within("[1, inf)")] = None) -> None:  # fmt: skip
    """A function that says within what its hyperparameters lie."""


@pytest.mark.parametrize("given", [{"share": 1}, {"share": "1e-9"}, {"rank": 1}, {"rank": "none"}])
def test_what_lies_within_the_declared_range_is_taken(given: dict[str, Any]) -> None:
    assert typed(ranged, given, "it").keys() == given.keys()


@pytest.mark.parametrize(
    "given, said",
    [
        ({"share": "0"}, "share must be in (0, 1], got 0.0"),
        ({"share": 1.01}, "share must be in (0, 1], got 1.01"),
        ({"rank": 0}, "rank must be 1 or more, got 0"),
    ],
)
def test_what_lies_outside_is_refused_with_the_range(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadParam) as caught:
        typed(ranged, given, "it")
    assert str(caught.value) == said


def test_a_hyperparameter_explains_itself() -> None:
    share, rank = explained(ranged)
    assert (share.name, share.default) == ("share", 0.5)
    assert (share.choices, share.meaning) == ("in (0, 1]", "of the whole")
    assert (rank.choices, rank.meaning) == ("1 or more", "")
