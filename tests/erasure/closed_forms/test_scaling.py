"""A change is scaled to meet a limit: checked against a search."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from textbook import dense, request, weights
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.deltas.change import Dense, LowRank
from ckptedit.erasure.closed_forms.scaling import scaled
from ckptedit.erasure.closed_forms.sides import HELD_OUT, Where, sides
from ckptedit.erasure.closed_forms.uce import UCE
from ckptedit.errors import LimitExceeded

NO = {"min_erase": None, "max_drift": None}


@pytest.fixture(scope="module")
def found(words):
    asked, given = request("van gogh", "castle", earlier=()), weights()
    solution = UCE(read="sentences", positions="all").solve(asked, words, given)
    return solution, given, sides(asked, words, Where(HELD_OUT, "all"))


def erased(found, scale: float) -> float:
    solution, given, read = found
    c, goal = read.targets.numpy().T, read.anchors.numpy().T
    left = missing = 0.0
    for name, weight in given.items():
        w = weight.double().numpy()
        left += (((w + scale * dense(solution, name)) @ c - w @ goal) ** 2).sum()
        missing += ((w @ c - w @ goal) ** 2).sum()
    return 1 - np.sqrt(left / missing)


def drift(found, scale: float) -> float:
    solution, given, _ = found
    moved = sum((dense(solution, name) ** 2).sum() for name in given)
    return scale * np.sqrt(moved / sum(float(w.double().square().sum()) for w in given.values()))


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_as_little_is_done_as_erases_enough(found, share):
    solution, given, read = found
    _, scale = scaled(solution.edits, given, read, **NO | {"min_erase": share})
    assert scale == pytest.approx(brentq(lambda s: erased(found, s) - share, 0, 1))


def test_at_most_so_much_is_done_as_drifts_so_far(found):
    solution, given, read = found
    edits, scale = scaled(solution.edits, given, read, **NO | {"max_drift": 0.1})
    assert drift(found, scale) == pytest.approx(0.1)
    for name, change in solution.edits.items():
        size = int(np.prod(change.shape))
        np.testing.assert_allclose(
            edits[name].stretch(0, size), scale * change.stretch(0, size), rtol=1e-5, atol=1e-9
        )
    edits, scale = scaled(solution.edits, given, read, **NO | {"max_drift": 10.0})
    assert scale == 1  # no more than the form itself


def test_factors_stay_factors(words, found):
    _, given, read = found
    plain = UCE().solve(request("van gogh", earlier=()), words, given).edits
    change = {name: replace(each, scale=2.0) for name, each in plain.items()}
    edits, scale = scaled(change, given, read, **NO | {"max_drift": 0.01})
    assert isinstance(edits["w0"], LowRank) and scale < 1
    np.testing.assert_allclose(edits["w0"].stretch(0, 99), scale * change["w0"].stretch(0, 99))


def test_what_no_scale_reaches_is_refused_with_the_best(found):
    solution, given, read = found
    best = max(erased(found, s) for s in np.linspace(0, 3, 3001))
    with pytest.raises(LimitExceeded, match=f"the best {best:.3g} on") as refusal:
        scaled(solution.edits, given, read, **NO | {"min_erase": 0.99})
    assert "--min-erase" in str(refusal.value)
    away = {name: Dense(-change.values) for name, change in solution.edits.items()}
    with pytest.raises(LimitExceeded, match="the best 0 on"):
        scaled(away, given, read, **NO | {"min_erase": 0.1})


def test_two_limits_that_exclude_each_other_are_refused(found):
    solution, given, read = found
    with pytest.raises(LimitExceeded, match="takes a drift of"):
        scaled(solution.edits, given, read, min_erase=0.4, max_drift=0.01)


FORM = ["--method", "uce", "-p", "read=sentences", "-p", "positions=all"]


@pytest.mark.parametrize(
    "asked, status, words",
    [
        ([*FORM, "--max-drift", "0.1"], 0, ""),
        ([*FORM, "--min-erase", "1"], 1, "no scale of this change erases 1"),
        ([*FORM, "--min-erase", "1.5"], 2, "min_erase must be in (0, 1]"),
        ([*FORM, "--max-drift", "0"], 2, "max_drift must be above 0"),
        (["--method", "conabl", "--max-drift", "0.1"], 2, "conabl is trained"),
    ],
)
def test_the_command_meets_a_limit_or_says_why_not(tiny, tmp_path, asked, status, words):
    out = tmp_path / "out.safetensors"
    command = ["erase", str(tiny), "--concept", "cat", *asked, "-o", str(out), "-q", "--json"]
    result = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert result.exit_code == status and words in result.stderr, result.stderr
    assert out.exists() == (status == 0)
    if status == 0:
        report = json.loads(result.stdout)
        assert report["drift"]["relative"] == pytest.approx(0.1, rel=0.01) and report["scale"] < 1
