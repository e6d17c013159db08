"""Real erasures of mini, at the command line: the concept goes, and its neighbours stay.

As by default, and trained in fewer and longer steps than a training's default; scored on a part of
the pictures, so that it takes half a minute; recipes/six-targets.sh does it in full.
"""

import json

import pytest
from typer.testing import CliRunner

from ckptedit.cli import app

SHORT = ["--steps", "40", "--lr", "0.002", "--batch", "12", "--pictures", "16"]
SHORT += ["--guard", "gradproj:soft"]  # with distill beside it, a step takes twice as long
FEW = ["--companions", "8", "--retain", "Monet", "--retain", "Munch", "--retain", "Neon"]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [[], SHORT], ids=["by default", "trained"])
def test_van_gogh_goes_and_what_is_near_it_stays(tmp_path, asked):
    def run(*args: str) -> str:
        result = CliRunner().invoke(app, [*args, "--device", "cpu", "-q", "--json"])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    base, edited = str(tmp_path / "base.safetensors"), str(tmp_path / "edited.safetensors")
    assert CliRunner().invoke(app, ["demo", "-o", base]).exit_code == 0
    run("erase", base, "--concept", "Van Gogh", *asked, "-o", edited)
    after = json.loads(run("eval", edited, *FEW))
    assert after["ua"] >= 0.9, "the concept is still drawn"
    assert after["ra_i"] >= 0.85 and after["ra_c"] >= 0.85, "what should stay is gone, too"
