"""The study of continual unlearning: its settings, and how its lines are counted."""

import pytest

from ckptedit.concepts.lexicon import lexicon_of, read_lexicon
from ckptedit.continual.options import keywords
from ckptedit.continual.requests import read_requests
from ckptedit.continual.strategies import STRATEGIES
from ckptedit.families import FAMILIES
from ckptedit.merging.methods import METHODS
from recipes import paper_table as table

ROWS = table.SETTINGS["row"]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_erases_as_some_method_can(row):
    own = {key: value for key, value in ROWS[row].items() if key != "label"}
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
    hidden = read_lexicon(table.lexicon(kind, tmp_path))
    assert set(known[kind]) - set(hidden[kind]) == set(own["unseen"])
    assert set(own["unseen"]) <= set(lists[0].evaluation["retain"])
    assert not set(own["unseen"]) & set(lists[0].defaults["retain"])


def test_figures_are_means_of_what_was_shown_and_what_was_not():
    own = table.SETTINGS["object"]
    seen = [{"concept": name, "accuracy": 1.0} for name in own["shown"]]
    seen += [{"concept": name, "accuracy": 0.5} for name in own["unseen"]]
    scores = {"ua": 1.0, "ra_c": 0.9, "n": 8, "per_concept": seen}
    line = {"request": 12, "asked": ["Cat"], "drift": {"relative": 0.5}, "seconds": 1.0}
    found = table.figures(line | {"scores": scores}, "object")
    assert (found["shown"], found["unseen"], found["ra_i"]) == (1.0, 0.5, 0.75)
    assert found["seen"]["Cup"] == 0.5 and found["drift"] == 0.5
