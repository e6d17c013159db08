"""The ladder of a drift budget: what is tried, in which order, and where it ends."""

import pytest

from ckptedit import guards
from ckptedit.continual.budget import AS_ASKED, HALF, Budget, ladder, within
from ckptedit.erasure.options import Options
from ckptedit.errors import BadParam, LimitExceeded

CLOSED = Options(method="uce")


def climbed(drifts, budget, options=CLOSED, before=0.0):
    """What came of tries that drift so far; a try that raises is an exception among them."""
    asked = []

    def attempt(tighter):
        asked.append(dict(tighter))
        drift = drifts[len(asked) - 1]
        if isinstance(drift, Exception):
            raise drift
        return f"try {len(asked)}", drift

    return *within(budget, attempt, lambda: options, before), asked


def test_what_keeps_the_budget_is_tried_once():
    made, spent, asked = climbed([0.2], Budget(0.3, retry=True))
    assert made == "try 1" and asked == [{}]
    assert spent.as_fact() == {
        "limit": 0.3,
        "outcome": "kept",
        "tried": [{"how": AS_ASKED, "drift": 0.2}],
    }


def test_without_retry_it_stops_at_once():
    made, spent, asked = climbed([0.31], Budget(0.3))
    assert made is None and len(asked) == 1 and spent.as_fact()["outcome"] == "stopped"


def test_a_closed_form_is_scaled_to_what_is_left_of_the_budget():
    made, spent, asked = climbed([0.5, 0.29], Budget(0.3, retry=True), before=0.1)
    assert made == "try 2" and spent.as_fact()["outcome"] == "retried"
    assert asked[1] == {"max_drift": pytest.approx(0.2), "min_erase": HALF}
    refused = climbed([0.5, LimitExceeded("too little")], Budget(0.3, retry=True))
    assert refused[0] is None and refused[1].tries[1].drift is None
    assert ladder(CLOSED, 0.0) == []


def test_a_training_gets_guards_and_then_fewer_steps():
    rungs = ladder(Options(guards=("l2",), steps=100), 0.1)
    guarded = ("l2", *guards.DEFAULT)
    assert [tighter for _, tighter in rungs] == [
        {"guards": guarded},
        {"guards": guarded, "steps": 50},
        {"guards": guarded, "steps": 25},
    ]
    guarded_already = ladder(Options(steps=2), 0.1)
    assert [tighter["steps"] for _, tighter in guarded_already] == [1]


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_budget_is_above_zero(limit):
    with pytest.raises(BadParam, match="max_drift must be above 0"):
        Budget(limit)
