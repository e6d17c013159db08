"""The study of continual unlearning: its settings, and how its lines are counted."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from ckptedit.concepts.lexicon import lexicon_of, read_lexicon
from ckptedit.continual.options import keywords
from ckptedit.continual.requests import read_requests
from ckptedit.continual.strategies import STRATEGIES
from ckptedit.families import FAMILIES
from ckptedit.merging.methods import METHODS
from recipes import paper_table as table

ROWS = table.SETTINGS["row"]


@pytest.fixture
def paper(monkeypatch):
    """The recipe's own lines; its scripts import one another as files beside one another."""
    monkeypatch.syspath_prepend(str(Path(table.__file__).parent))
    return importlib.import_module("paper_lines")


@pytest.mark.parametrize("row", ROWS)
def test_every_row_erases_as_some_method_can(row):
    own = {key: value for key, value in ROWS[row].items() if key not in table.OF_THE_RECIPE}
    how = {key: own.pop(key) for key in table.OF_A_RUN if key in own}
    assert how.get("strategy", "sequential") in STRATEGIES
    assert how.get("merge", "ties") in METHODS
    keywords(own if how.get("strategy") == "recomputed" else table.SETTINGS["trained"] | own)


@pytest.mark.parametrize("kind", table.KINDS)
def test_a_list_asks_for_all_in_every_order_and_hides_what_is_to_be_unseen(kind, tmp_path):
    own, known = table.SETTINGS[kind], lexicon_of(FAMILIES["mini"])
    named = [*own["requests"], *own["shown"], *own["unseen"]]
    assert len(named) == len(set(named)) and set(named) <= set(known[kind])
    lists = [
        read_requests(table.listed(table.Run("ours", kind, order), tmp_path)) for order in range(3)
    ]
    orders = [[entry.concepts[0] for entry in each.entries] for each in lists]
    assert orders[0] == own["requests"] != orders[1] != orders[2]
    assert all(sorted(order) == sorted(own["requests"]) for order in orders)
    hidden = read_lexicon(table.lexicon(table.Run("ours", kind, 0), tmp_path))
    assert set(known[kind]) - set(hidden[kind]) == set(own["unseen"])
    assert set(own["unseen"]) <= set(lists[0].evaluation["retain"])
    assert not set(own["unseen"]) & set(lists[0].defaults["retain"])


def test_a_row_may_be_told_of_fewer_or_more(tmp_path):
    own = table.SETTINGS["style"]
    told, unseen = table.staying(table.Run("told-8", "style", 0))
    assert (told, unseen) == ([*own["shown"], *own["unseen"][:2]], own["unseen"][2:])
    hidden = read_lexicon(table.lexicon(table.Run("told-8", "style", 0), tmp_path))
    assert set(told) <= set(hidden["style"]) and not set(unseen) & set(hidden["style"])


def test_figures_are_means_of_what_was_shown_and_what_was_not():
    own = table.SETTINGS["object"]
    seen = [{"concept": name, "accuracy": 1.0} for name in own["shown"]]
    seen += [{"concept": name, "accuracy": 0.5} for name in own["unseen"]]
    scores = {"ua": 1.0, "ra_c": 0.9, "n": 8, "per_concept": seen}
    line = {"request": 12, "asked": ["Cat"], "drift": {"relative": 0.5}, "seconds": 1.0}
    found = table.figures(line | {"scores": scores}, own["shown"], own["unseen"])
    assert (found["shown"], found["unseen"], found["ra_i"]) == (1.0, 0.5, 0.75)
    assert found["seen"]["Cup"] == 0.5 and found["drift"] == 0.5


def test_an_interval_draws_orders_and_concepts_again(paper):
    """Where all concepts agree only orders can differ, and the other way round."""
    orders = np.array([[0.0] * 6, [1.0] * 6])
    assert paper.interval(orders) == (0, 1)
    low, high = paper.interval(orders.T)  # six orders, in each of which one concept of two is lost
    assert (low, high) == (0, 1)
    assert paper.interval(np.full((3, 4), 0.5)) == (0.5, 0.5)
    low, high = paper.interval(np.array([[1.0] * 8 + [0.0] * 2]))
    assert low == pytest.approx(0.5, abs=0.06) and high == 1


def test_tables_are_printed_of_the_lines_that_are_committed(paper, capsys):
    import paper_figures

    paper_figures.table()
    paper_figures.compare("gradproj", "sequential")
    paper_figures.told()
    printed = capsys.readouterr().out
    own = next(line for line in paper.lines_of("ours", "style", 12) if line["order"] == 0)
    base = paper.base_of("style")
    assert own["ra_i"] == pytest.approx(
        np.mean([own["seen"][name] for name in paper.staying("style")]), abs=1e-5
    )
    assert f"| *base* | | {base['ra_i']:.1%} |" in printed
    assert "| styles | 6 | 100.0% | 70.8% |" in printed  # as measured
    assert "sequential + GradProj, exact" in printed and "difference +" in printed


@pytest.mark.parametrize(
    "name, count", [("styles-23", 23), ("both-36", 36), ("sixty", 60), ("hundred", 100)]
)
def test_long_lists_ask_for_what_they_say_and_score_what_stays(name, count):
    asked = read_requests(Path(table.__file__).parent / "long-lists" / f"{name}.toml")
    names = [concept for entry in asked.entries for concept in entry.concepts]
    assert len(names) == len(set(names)) == count
    assert not set(names) & set(asked.evaluation["retain"])
    assert set(asked.evaluation.get("erased", names)) <= set(names)


def test_of_a_long_list_the_scored_lines_are_its_table(paper, tmp_path, monkeypatch, capsys):
    import long_lists

    monkeypatch.setattr(long_lists, "HERE", tmp_path)
    rows = [(0, None, 0.98, 0.99, []), (1, None, None, None, [0.4]), (2, 1.0, 0.9, 0.891, [0.5])]
    results = [
        {
            "request": number,
            "asked": [],
            "kind": None,
            "seconds": 1.0,
            "drift": {"relative": 0.25},
            "verified": [{"residual": left} for left in residuals],
            "scores": None if ra_i is None else {"ua": ua, "ra_i": ra_i, "ra_c": ra_c, "n": 9},
        }
        for number, ua, ra_i, ra_c, residuals in rows
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in results))
    long_lists.keep(tmp_path / "results.jsonl", "hundred")
    assert [line["residual"] for line in long_lists.lines("hundred")] == [None, 0.4, 0.5]
    long_lists.table()
    printed = capsys.readouterr().out
    assert "| a hundred requests | 2 | 100.0% | 90.0% | 89.1% | 90.0% | 0.25 | 1.0 |" in printed
    assert "| 1 |" not in printed
