"""A run of `continual` on mini, and its page: made once for all tests here."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ckptedit import demo
from ckptedit.cli import app

LIST = """
[defaults]
neighbors = 1
[[request]]
concept = "Van Gogh"
[[request]]
concepts = ["Cat", "Neon"]
anchor = "Heart"
[[request]]
withdraw = "Van Gogh"
"""
PER_CONCEPT = [("Neon", "erased", 0.25), ("Monet", "unseen", 0.5)]
SCORES = {
    **{"ua": 0.75, "ra_i": 0.5, "ra_i_shown": None, "ra_i_unseen": 0.5, "ra_c": 1.0},
    "intervals": {"ua": [0.6, 0.9]},
    "per_concept": [
        {"concept": name, "kind": "style", "role": role, "accuracy": accuracy, "n": 4}
        for name, role, accuracy in PER_CONCEPT
    ],
}


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base.safetensors, run/ and report.html, of whose scores none was measured."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        demo("base.safetensors")
        Path("list.toml").write_text(LIST)
        line = "continual base.safetensors list.toml -o run --method uce --keep all -q"
        assert CliRunner().invoke(app, line.split()).exit_code == 0
        rewrite(Path("run"), lambda n, row: row | {"scores": SCORES} if n else row)
        line = "report run --seeds 1 --steps 1 -q --json"
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0
        Path("report.json").write_text(done.stdout)
    return folder


def rewrite(run, change) -> None:
    """Changes the lines of a run: change(index, line) -> line."""
    path = run / "results.jsonl"
    rows = [change(n, json.loads(row)) for n, row in enumerate(path.read_text().splitlines())]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
