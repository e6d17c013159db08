"""`ckptedit erase --list-methods`: what there is, from the registries and the signatures."""

import json

from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.options import METHODS
from ckptedit.guards import GUARDS
from ckptedit.params import hyperparameters


def listed(*asked: str) -> str:
    result = CliRunner().invoke(app, ["erase", *asked])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_every_method_and_guard_is_listed_with_its_parameters():
    found = json.loads(listed("--list-methods", "--json"))["methods"]
    assert [entry["name"] for entry in found] == [*OBJECTIVES, *CLOSED_FORMS, *GUARDS]
    for entry in found:
        kind = GUARDS[entry["name"]] if entry["name"] in GUARDS else METHODS[entry["name"]]
        assert [each["name"] for each in entry["parameters"]] == list(hyperparameters(kind))
        assert entry["summary"].endswith(".")


def test_for_people_it_is_lines_that_can_be_typed():
    text = listed("any.safetensors", "--list-methods")
    assert "  uce  [kv, k, v]  Unified concept editing" in text
    assert "      -p ridge=0.5, above 0: λ, of staying where it was" in text
    assert all(f"\n  {name}" in text for name in (*METHODS, *GUARDS))
