"""`ckptedit erase`: names that carry a value, and what a method has to say afterwards."""

import json

import pytest
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.erasure.options import Options
from ckptedit.errors import BadParam, UnknownName
from ckptedit.files import Checkpoint

SMALL = ["--steps", "2", "--batch", "2", "--pictures", "2", "--neighbors", "1", "--device", "cpu"]


def erase(tiny, out, *asked):
    command = ["erase", str(tiny), "--concept", "van gogh", *SMALL, *asked, "-o", str(out)]
    return CliRunner().invoke(app, command)


def test_a_name_may_carry_the_value_of_what_stands_after_its_colon(tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    result = erase(tiny, out, "-m", "fdiv:alpha=0.3", "-q", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["method"] == "fdiv:alpha"
    assert Checkpoint(out).ledger[-1]["options"]["params"]["fdiv:alpha"]["alpha"] == 0.3


def test_a_value_in_a_name_is_checked_as_any_other():
    made = Options(method="fdiv:alpha=0.3", params={"fdiv:alpha": {"scale": "fixed"}})
    assert made.params == {"fdiv:alpha": {"alpha": 0.3, "scale": "fixed"}}
    made.check()
    for method, words in (
        ("fdiv:alpha=some", "alpha must be a number"),
        ("fdiv:alpha=11", "alpha must be in"),
        ("fdiv:kl=3", "fdiv:kl has no parameter kl"),
    ):
        with pytest.raises(BadParam, match=words):
            Options(method=method)
    with pytest.raises(BadParam, match=r"alpha is given twice: 0\.3 and 0\.5"):
        Options(method="fdiv:alpha=0.3", params={"fdiv:alpha": {"alpha": 0.5}})
    with pytest.raises(UnknownName, match="no method is called 'conabl=3'"):
        Options(method="conabl=3").check()


def test_a_model_that_cannot_be_trained_is_refused_however_the_method_is_spelled(tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    result = erase(tiny, out, "-m", "fdiv:alpha=0.3", "--prediction", "some")
    assert result.exit_code == 2 and "prediction" in result.stderr


def test_what_a_method_warns_of_is_a_warning_for_people_and_for_programs(tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    result = erase(tiny, out, "-m", "fdiv:jeffreys", "--json")
    assert result.exit_code == 0, result.stderr
    (said,) = json.loads(result.stdout)["warnings"][-1:]
    assert "numerically KL" in said and f"warning: {said}" in result.stderr
