"""The gate for CI, as a shell script: what it exits with and what it leaves."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import ckptedit
from ckptedit.drift.rulefile import load_rules

ROOT = Path(ckptedit.__file__).parent.parent
RECIPES = ROOT / "recipes"
K = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
VAE = "first_stage_model.decoder.conv_in.weight"


@pytest.fixture
def gate(tmp_path):
    """Runs the script with `ckptedit` on the path; returns the process and the folder."""
    pytest.importorskip("matplotlib")
    command = tmp_path / "bin" / "ckptedit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ckptedit "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    summary = tmp_path / "summary.md"
    environment = os.environ | {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(summary),
    }

    def run(old, new):
        for name, content in (("old", old), ("new", new)):
            save_file(content, tmp_path / f"{name}.safetensors")
        script = [RECIPES / "ci-drift-gate.sh", "old.safetensors", "new.safetensors"]
        return subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


OLD = {K: torch.linspace(0.1, 1, 32).reshape(8, 4), VAE: torch.full((400,), 1.0)}


def test_a_small_edit_of_keys_passes(gate, tmp_path):
    done = gate(OLD, OLD | {K: OLD[K] * 1.1})
    assert done.returncode == 0 and done.stdout.endswith("\ndrift: within the rules\n")
    assert done.stdout.splitlines()[1] == "relative of each **.attn2.to_[kv].weight <= 0.5: 0.1"
    assert json.loads((tmp_path / "drift" / "drift.json").read_text())["verdict"] == "within"
    for name in ("drift.md", "drift.xml", "drift.png"):
        assert (tmp_path / "drift" / name).stat().st_size > 100
    assert (tmp_path / "summary.md").read_text().startswith("## ✅")


@pytest.mark.parametrize("change", [{K: OLD[K] * 1.6}, {VAE: OLD[VAE] + 1e-6}])
def test_too_large_an_edit_or_one_elsewhere_is_refused(gate, tmp_path, change):
    done = gate(OLD, OLD | change)
    assert done.returncode == 1
    assert "\ndrift: beyond the rules, see drift/drift.md\n::error title=" in done.stdout
    assert (tmp_path / "summary.md").read_text().startswith("## ❌")


def test_rules_that_fit_nothing_are_trouble(gate):
    done = gate({VAE: OLD[VAE]}, {VAE: OLD[VAE]})
    assert done.returncode == 2
    assert "fits none of the 1 tensors" in done.stderr


def test_the_job_runs_the_same_command_as_the_script():
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((RECIPES / "ci-drift-gate.yml").read_text())["jobs"]["drift"]
    (step,) = [s for s in job["steps"] if "ckptedit diff" in s.get("run", "")]
    script = (RECIPES / "ci-drift-gate.sh").read_text()
    options = {word for word in step["run"].split() if word.startswith("--")}
    assert options == {word for word in script.split() if word.startswith("--")}


def test_the_rules_of_the_recipe_can_be_read():
    rules = load_rules(RECIPES / "ci-drift-gate.toml")
    assert rules.allow and rules.total and rules.limits
