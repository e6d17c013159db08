"""The page of methods, and the recipe that fills it with figures."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from ckptedit.erasure.options import METHODS, Options
from ckptedit.errors import BadParam
from recipes import methods_table as table
from recipes.describe_methods import figures, page

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_registries_and_docstrings_say():
    """If not: python recipes/describe_methods.py > docs/methods.md"""
    assert (ROOT / "docs" / "methods.md").read_text() == page()


def test_figures_are_means_over_concepts_of_a_kind_and_seeds():
    row = {"method": "uce", "guard": "none", "drift": 0.5, "leak": None, "seconds": 1.0}
    share = {"shown": 1.0, "unseen": 0.5, "ra_c": 1.0, "erased": 6}
    rows = [row | share | {"concept": c, "ua": u} for c, u in (("a", 1.0), ("b", 0.5), ("c", 0.0))]
    style, thing = figures(rows, {"a": "style", "b": "style", "c": "object"})
    assert (style["ua"], style["n"], style["leak"]) == (0.75, 12, None)
    assert (thing["kind"], thing["ua"], thing["n"]) == ("object", 0.0, 6)


def test_every_setting_is_of_a_method_there_is_and_of_a_range_it_takes():
    assert set(table.SETTINGS["methods"]) <= set(METHODS)
    for run in table.runs(list(METHODS), 1):
        given = table.options(run)
        names = {n: v for n, v in given.items() if n not in ("kind", "lexicon", "neighbors")}
        masks = getattr(METHODS[run.method], "masks", False) and run.guard != "none"
        with pytest.raises(BadParam, match="single weights") if masks else nullcontext():
            Options(**names).check()
