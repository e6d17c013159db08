"""Processes that train together make what one makes alone. A new line in OBJECTIVES or GUARDS is
tested here without a new test."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.files import Checkpoint
from laws import together
from laws.together import RUNS, change

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SHORT = ["--concept", "van gogh", "--method", "conabl", "--steps", "3", "--batch", "3",
         "--pictures", "2", "--neighbors", "1", "--delta", "--device", "cpu"]  # fmt: skip


@dataclass
class Both:
    """Of two processes: what each got of every training, and how its two erasures ended."""

    changes: list[dict[tuple[str, str], Tensor]]
    statuses: list[list[int]]
    edit: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def both(checkpoint, tmp_path_factory) -> Both:
    folder = tmp_path_factory.mktemp("together")
    edit = folder / "two.safetensors"
    erase = ["erase", str(checkpoint), *SHORT, "-o", str(edit)]
    done = subprocess.run(
        [*TORCHRUN, together.__file__, str(folder), *erase],
        capture_output=True, text=True, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    own = [folder / str(index) for index in range(2)]
    changes = [torch.load(each / "changes.pt") for each in own]
    statuses = [json.loads((each / "statuses.json").read_text()) for each in own]
    return Both(changes, statuses, edit, done.stdout, done.stderr)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run[0]} {run[1]}")
def test_two_processes_train_what_one_does(run, both):
    first, second = (changes[run] for changes in both.changes)
    alone = change(*run)
    assert torch.equal(first, second)
    assert alone.abs().max() > 1e-4
    torch.testing.assert_close(first, alone, atol=1e-5, rtol=0)


def test_an_erasure_by_two_is_that_by_one_and_one_of_them_speaks(both, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("ckptedit.diffusion.device._cpu_has_bfloat16", lambda: False)
    output = tmp_path / "one.safetensors"
    result = CliRunner().invoke(app, ["erase", str(tiny), *SHORT, "-o", str(output), "-q"])
    assert result.exit_code == 0, result.stderr
    alone, shared = load_file(output), load_file(both.edit)
    assert alone.keys() == shared.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(shared[name], tensor, atol=1e-5, rtol=0)
    assert both.stdout == f"{both.edit}\n"
    assert Checkpoint(both.edit).ledger[-1]["options"]["processes"] == 2


def test_what_goes_wrong_in_two_processes_is_said_once_and_both_end_alike(both):
    assert both.statuses == [[0, 2], [0, 2]]
    assert both.stderr.count("error: ") == 1 and "--force" in both.stderr
