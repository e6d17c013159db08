"""Comparisons at equal deletion, worked by hand."""

import pytest

from ckptedit.errors import BadParam
from ckptedit.evaluation.matched import common_ua, matched, relapse


def runs(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"ua": ua, "ra_i": ra} for ua, ra in pairs]


SOFT, HARD = runs((0.9, 0.6), (0.5, 1.0), (0.7, 0.9)), runs((0.6, 0.8), (0.8, 0.4))


def test_methods_are_compared_where_all_delete_the_same() -> None:
    both = {"soft": SOFT, "hard": HARD}
    assert common_ua(both) == 0.8
    assert matched(both) == {"soft": pytest.approx(0.75), "hard": 0.4}
    assert matched(both, ua=0.7) == {"soft": 0.9, "hard": pytest.approx(0.6)}


def test_nothing_is_extrapolated() -> None:
    assert matched({"soft": SOFT, "hard": HARD}, ua=0.55) == {
        "soft": pytest.approx(0.975),
        "hard": None,
    }
    assert matched({"hard": HARD}, ua=0.81) == {"hard": None}
    with pytest.raises(BadParam, match="no UA is common to all: the least of late is 90"):
        common_ua({"late": runs((0.9, 1.0)), "hard": HARD})
    with pytest.raises(BadParam, match="no run of empty has a UA"):
        common_ua({"empty": [{"ua": None}], "hard": HARD})


def test_runs_of_the_same_ua_count_as_their_mean() -> None:
    assert matched({"a": runs((1.0, 0.2), (1.0, 0.6))}) == {"a": pytest.approx(0.4)}


def test_what_comes_back_is_a_relapse_of_its_concept() -> None:
    def report(**seen: float) -> dict:
        rows = [{"concept": c, "role": "erased", "accuracy": a} for c, a in seen.items()]
        kept = {"concept": "Neon", "role": "unseen", "accuracy": 1.0}
        return {"ua": None, "per_concept": [*rows, kept]}

    found = relapse(report(Monet=0.0, Munch=0.5), report(Monet=0.25, Munch=0.5, Klimt=0.0))
    assert found == {"Monet": -0.25, "Munch": 0}
