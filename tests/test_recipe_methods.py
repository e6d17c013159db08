"""The page of methods, and the recipe that fills it with figures."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from ckptedit.erasure.options import METHODS, Options
from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS
from recipes import methods_table as table
from recipes.describe_methods import figures, page
from recipes.describe_methods import table as table_of

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_registries_and_docstrings_say():
    """If not: python recipes/describe_methods.py > docs/methods.md"""
    assert (ROOT / "docs" / "methods.md").read_text() == page()


def test_figures_are_means_over_concepts_of_a_kind_and_the_seeds_that_are_whole():
    row = {"method": "esd", "guard": "none", "drift": 0.5, "leak": None, "seconds": 1.0}
    share = {"shown": 1.0, "unseen": 0.5, "ra_c": 1.0, "erased": 6}
    runs = [("a", 0, 1.0), ("b", 0, 0.5), ("c", 0, 0.0), ("c", 1, 0.5), ("a", 1, 0.0)]
    rows = [row | share | {"concept": c, "seed": s, "ua": u} for c, s, u in runs]
    begun = rows[1] | {"method": "ru"}  # of b alone
    style, thing = figures([*rows, begun], {"a": "style", "b": "style", "c": "object"})
    assert (style["ua"], style["n"], style["leak"], style["seeds"]) == (0.75, 12, None, 1)
    assert (thing["kind"], thing["ua"], thing["n"], thing["seeds"]) == ("object", 0.25, 12, 2)
    assert [line.split(" | ")[2::8] for line in [*table_of([style, thing])][2:]] == [
        ["75.0%", "1 |"],
        ["25.0%", "2 |"],
    ]


def test_every_setting_is_of_a_method_there_is_and_of_a_range_it_takes():
    assert set(table.SETTINGS["methods"]) <= set(METHODS)
    assert set(table.SETTINGS["guards"]) <= set(GUARDS)
    guards = [*table.GUARDS, *table.SETTINGS["guards"]]
    for run in table.runs(list(METHODS), 1, guards):
        given = table.options(run)
        names = {n: v for n, v in given.items() if n not in ("kind", "lexicon", "neighbors")}
        masks = getattr(METHODS[run.method], "masks", False) and run.guard == table.GUARDS[1]
        with pytest.raises(BadParam, match="single weights") if masks else nullcontext():
            Options(**names).check()
