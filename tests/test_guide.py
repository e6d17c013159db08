"""docs/guide-sd15.md is a way that a user can go: its commands run, one after the other."""

import re
import shlex
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline
from small_models import small
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.families import FAMILIES
from ckptedit.files import Checkpoint

GUIDE = Path(__file__).parents[1] / "docs" / "guide-sd15.md"
COMMANDS = re.findall(r"^    ckptedit (.+)$", GUIDE.read_text(), re.MULTILINE)
BASE = "v1-5-pruned-emaonly.safetensors"


def test_the_guide_leads_from_the_download_to_the_pictures_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small("sd1", tmp_path / "family")
    monkeypatch.setitem(FAMILIES, "sd1", model.family)
    monkeypatch.chdir(tmp_path)
    model.ldm(tmp_path / BASE)
    model.tokenizer.save_pretrained(tmp_path / "tokenizer")
    assert len(COMMANDS) == 10
    for command in COMMANDS:
        more = ["--steps", "1"] if command.startswith("sample") else []
        done = CliRunner().invoke(app, [*shlex.split(command), *more])
        assert done.exit_code == 0, (command, done.output)
    base, edited, again = (
        Checkpoint(name) for name in (BASE, "no-van-gogh.safetensors", "again.safetensors")
    )
    changed = [name for name in base if base.raw(name).tobytes() != edited.raw(name).tobytes()]
    assert changed and all("attn2.to_" in name for name in changed)
    assert all(base.raw(name).tobytes() == again.raw(name).tobytes() for name in base)
    StableDiffusionPipeline.from_pretrained("no-van-gogh", safety_checker=None)
