"""recipes/merge-erasures.sh: the line that it prints for each merge."""

import json
import subprocess
import sys
from pathlib import Path

import ckptedit

RECIPE = Path(ckptedit.__file__).parent.parent / "recipes" / "merge-erasures.sh"


def test_a_merge_that_adds_nothing_has_a_line_too(tmp_path):
    """`model-stock` of opposed edits stays at the base: no cosine is defined."""
    edits = [{"cosine": None}, {"cosine": 0.504}]
    merge = {"drift": {"relative": 0.0}, "edits": edits}
    paths = [tmp_path / "merge.json", tmp_path / "eval.json"]
    paths[0].write_text(json.dumps(merge))
    paths[1].write_text(json.dumps({"ua": 0, "ra_i": 1, "ra_c": 1}))
    code = RECIPE.read_text().split("<<'PY'\n")[1].split("PY\n")[0]
    command = [sys.executable, "-", "model-stock", *map(str, paths)]
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["model-stock", "0.000", "1.000", "1.000", "0.0000", "-", "0.50"]
