"""The walk through the Python API runs, cell after cell, and does what its comments say."""

import runpy
import sys
from pathlib import Path

import numpy as np

from ckptedit.files import Checkpoint

SCRIPT = Path(__file__).parents[1] / "recipes/walkthrough.py"


def test_the_walk_through_the_python_api_does_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "2"])
    ran = runpy.run_path(str(SCRIPT))

    base, edited = Checkpoint("base.safetensors"), Checkpoint("edited.safetensors")
    moved = [n for n in base if base.raw(n).tobytes() != edited.raw(n).tobytes()]
    assert ran["facts"].family == "mini" and not ran["facts"].ledger
    assert ran["moved"].passed and sorted(ran["erasure"].edits) == sorted(moved)
    assert sorted(ran["changes"]) == sorted(ran["neon"].edits)
    (name, *_) = ran["changes"]
    half = Checkpoint("half.safetensors").values(name) - base.values(name)
    assert np.allclose(half, ran["changes"][name] / 2, atol=1e-3)
    ledger = Checkpoint("merged.safetensors").ledger
    assert [entry["operation"] for entry in ledger] == ["erase", "erase", "merge"]
    assert (
        0
        < Path("neon.lora.safetensors").stat().st_size
        < Path("base.safetensors").stat().st_size / 10
    )
    assert ran["scores"].n == 25 and Path("before-after.png").read_bytes()[:4] == b"\x89PNG"
    assert len(capsys.readouterr().out.splitlines()) == 12
