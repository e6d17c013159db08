"""`ckptedit erase --delta`: the edit without the checkpoint."""

import json

import numpy as np
import pytest
from tiny_model import random_mini
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.deltas import open_delta
from ckptedit.files import Checkpoint

QUICK = ["--steps", "1", "--pictures", "1", "--neighbors", "1", "--kind", "style"]
ERASE = ["erase", "base.safetensors", "--concept", "Van Gogh", *QUICK, "-q"]


def run(*args):
    return CliRunner().invoke(app, list(args))


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random_mini(tmp_path / "base.safetensors")


@pytest.mark.parametrize("guard, form", [("none", "diff"), ("gradproj:soft", "lora")])
def test_applied_it_is_the_checkpoint_that_erase_writes_to_the_last_bit(guard, form):
    erase = [*ERASE, "--guard", guard]
    assert run(*erase).stdout == "base.erase.safetensors\n"
    result = run(*erase, "--delta")
    assert (result.exit_code, result.stdout) == (0, "base.erase.delta.safetensors\n")
    applied = run("apply", "base.safetensors", "base.erase.delta.safetensors", "--json", "-q")
    assert json.loads(applied.stdout)["verified"]
    with (
        Checkpoint("base.erase.safetensors") as whole,
        Checkpoint("base.apply.safetensors") as ours,
        Checkpoint("base.erase.delta.safetensors") as file,
    ):
        assert ours.ledger[:1] == whole.ledger == file.ledger
        assert {entry.form for entry in open_delta(file).entries.values()} == {form}
        assert ours.data_sha256() == whole.data_sha256()
        gram = open_delta(file).gram()
        assert gram.shape == (256, 256) and np.linalg.eigvalsh(gram)[-1] > 0


def test_an_existing_delta_is_kept_and_nothing_is_trained(tmp_path):
    (tmp_path / "base.erase.delta.safetensors").write_text("mine")
    result = run(*ERASE, "--delta")
    assert result.exit_code == 2 and "exists; --force" in result.stderr
