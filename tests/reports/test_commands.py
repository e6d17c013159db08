"""A list of requests as it is written on the page is the list that was read."""

import tomllib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ckptedit.continual.requests import read_requests
from ckptedit.reports.commands import requests_toml

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.floats(-1e9, 1e9) | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)


tables = st.dictionaries(names, values, min_size=1, max_size=3)


@settings(max_examples=40)
@given(tables, st.lists(tables, max_size=3))
def test_whatever_json_holds_is_the_same_in_toml(options, asked):
    text = requests_toml({"options": options, "asked": asked, "evaluation": None})
    wanted = {"defaults": options} if options else {}
    wanted |= {"request": asked} if asked else {}
    assert tomllib.loads(text) == wanted


def test_a_list_that_was_read_is_read_again(tmp_path: Path):
    path = tmp_path / "list.toml"
    path.write_text(
        r"""
[defaults]
neighbors = 4
[[request]]
concept = "O'Keeffe \"x\""
aliases = "Georgia"
params = {ties = {density = 0.3}}
[[request]]
withdraw = "O'Keeffe \"x\""
[eval]
companions = 2
"""
    )
    read = read_requests(path)
    settings = {"options": dict(read.defaults), "evaluation": dict(read.evaluation),
                "asked": [entry.as_fact() for entry in read.entries]}  # fmt: skip
    path.write_text(requests_toml(settings))
    again = read_requests(path)
    assert [e.digest() for e in again.entries] == [e.digest() for e in read.entries]
    assert (again.defaults, again.evaluation) == (read.defaults, read.evaluation)
