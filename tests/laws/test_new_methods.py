"""A new method is one file and one line: the file is this one, and the line is added for it."""

import json
from typing import Annotated

import pytest
import torch
from torch.nn.functional import mse_loss
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.deltas.change import Dense
from ckptedit.diffusion.moments import RETAINED, TARGETS
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.method import Method, Solution
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.guards import GUARDS
from ckptedit.guards.guard import Guard
from ckptedit.params import Within


class Rehearse(Guard):
    """Wants the bank of retained prompts, and keeps a count from step to step."""

    def __init__(self, *, weight: Annotated[float, Within("[0, inf)"), "of it"] = 2.0) -> None:
        self.weight = weight

    def start(self, setting):
        self.setting, self.count = setting, torch.zeros(())

    def penalty(self, rng):
        shown = self.setting.moments(RETAINED).pick(2, rng)
        return self.weight * mse_loss(self.setting.student(shown), shown.aim)

    def after_step(self):
        self.count += 1

    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"]


class TwoTerms(Objective):
    def start(self, setting):
        self.setting = setting

    def terms(self, rng):
        for name, want in (("go", TARGETS), ("stay", RETAINED)):
            shown = self.setting.moments(want).pick(self.setting.batch, rng)
            yield name, mse_loss(self.setting.student(shown), shown.aim)


class Halve(Method):
    def solve(self, request, words, weights, *, model=None):
        return Solution({name: Dense(-0.5 * weight.numpy()) for name, weight in weights.items()})


@pytest.fixture(autouse=True)
def one_line_each(monkeypatch):
    for registry, line in ((GUARDS, Rehearse), (OBJECTIVES, TwoTerms), (CLOSED_FORMS, Halve)):
        target = f"{__name__}:{line.__name__}"
        monkeypatch.setitem(registry.targets, line.__name__.lower(), target)


SMALL = ["--steps", "2", "--batch", "2", "--pictures", "2"]
QUICK = ["--neighbors", "1", "--device", "cpu", "-q", "--json"]


def quick(asked: list[str]) -> list[str]:
    return QUICK if "halve" in asked else [*SMALL, *QUICK]


@pytest.mark.parametrize(
    "asked, said",
    [
        (["--guard", "rehearse", "-p", "weight=3"], {"guards": ["rehearse"], "method": "conabl"}),
        (["--method", "twoterms"], {"method": "twoterms"}),
        (["--method", "halve"], {"method": "halve", "guards": [], "steps": 0}),
    ],
)
def test_the_command_line_runs_it_and_the_report_names_it(tiny, tmp_path, asked, said):
    out = tmp_path / "out.safetensors"
    command = ["erase", str(tiny), "--concept", "van gogh", *quick(asked), *asked, "-o", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert said.items() <= report.items() and report["drift"]["relative"] > 0


@pytest.mark.parametrize(
    "asked, words",
    [
        (["--guard", "rehearse", "-p", "weight=-1"], "weight must be 0 or more"),
        (["--method", "halve", "--guard", "rehearse"], "closed form"),
        (["--method", "halve", "-p", "weight=1"], "nothing in use has a parameter weight"),
        (["--method", "half"], "no method is called 'half'; there are: "),
        (["--guard", "rehearsal"], "no guard is called 'rehearsal'"),
    ],
)
def test_what_does_not_go_together_is_refused(tiny, tmp_path, asked, words):
    out = tmp_path / "out.safetensors"
    command = ["erase", str(tiny), "--concept", "van gogh", *quick(asked), *asked, "-o", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and words in result.stderr and not out.exists()
