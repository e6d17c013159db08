"""docs/merge.md says what the code does."""

from pathlib import Path

import numpy as np
import pytest

import ckptedit
from ckptedit.merging import METHODS
from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.merging.methods.ties_rules import RULES
from ckptedit.merging.recipe import Recipe
from ckptedit.params import defaults

TEXT = (Path(ckptedit.__file__).parent.parent / "docs" / "merge.md").read_text()
ROWS = {line.split("`")[1]: line for line in TEXT.splitlines() if line.startswith("| `")}


@pytest.mark.parametrize("name", list(METHODS))
def test_the_table_has_every_method_with_its_defaults(name):
    shown = Recipe(name).resolved_params()
    for parameter in defaults(METHODS[name]):
        value = shown[parameter]
        spelled = f"{value:g}" if isinstance(value, float) else str(value)
        spelled = "1e-4" if value == 1e-4 else spelled
        assert f"`{parameter}`" in ROWS[name]
        after = ROWS[name].split(f"`{parameter}`")[1].split("|")[0].split(",")[0]
        assert after.split()[-1] == spelled, parameter


@pytest.mark.parametrize("tool", list(RULES))
def test_the_columns_of_ties_name_scope_and_vote(tool):
    heading = next(line for line in TEXT.splitlines() if line.startswith("| | `none`"))
    column = [cell.strip().split("`")[1] for cell in heading.split("|")[2:-1]].index(tool)
    scope = ROWS["--trim-scope"].split("|")[2:-1][column].strip()
    vote = ROWS["--vote"].split("|")[2:-1][column].strip()
    assert (scope, vote) == (RULES[tool].scope, RULES[tool].vote)


def test_the_python_example_works(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    make("base"), make("a", 1), make("b", 2)
    names: dict[str, object] = {}
    exec(TEXT.split("```python")[1].split("```")[0], names)
    assert (tmp_path / "out.safetensors").exists() and names["merged"].tensors["merged"] == 2


def test_the_method_of_ones_own_works():
    code = TEXT.split("```python")[-1].split("```")[0]
    names = {"np": np, "Stack": object, "Kernel": object}
    exec(code, names)
    vectors = np.array([[1.0, 5], [2, 0], [9, 7]])
    assert merge_arrays(names["median"], ArrayStack(vectors)).tolist() == [2, 5]
