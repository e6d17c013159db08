"""`ckptedit erase`: what is asked for, as a user may write it. Nothing here trains."""

import json
from pathlib import Path

import pytest
from header_only import header_of
from refusal import refused
from tiny_model import random_mini
from typer.testing import CliRunner, Result

from ckptedit.cli import app
from ckptedit.concepts.wish import Wish
from ckptedit.diffusion import open_model
from ckptedit.erasure.checks import look_over
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import SD1, SD2, SDXL, Family
from ckptedit.files import Checkpoint


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("mini") / "base.safetensors")


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def erase(base: Path, *options: object) -> Result:
    command = ["erase", str(base), "--method", "uce", "--kind", "style", *map(str, options)]
    return CliRunner().invoke(app, command)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--concept", "Van Gough"], "did you mean 'Van Gogh'?"),
        (["--concept", "Neon", "--retain", "Castel"], "did you mean 'Castle'?"),
        (["--concept", "Neon, Monet"], "repeat the option ('Neon', 'Monet')"),
        (["--concept", "Neon", "--guard", "none", "--guard", "distill"], "no guard at all"),
        (["--concept", "Cat"], "'Cat' is of kind object, by the lexicon, not style"),
        (["--concept", "Neon", "--retain", "the NEON"], "names the target 'Neon'"),
        (["--concept", "@nowhere"], "cannot read the list nowhere: no such file"),
        (["--concept", "@empty"], "at least one concept"),
        (["--concept", "Neon", "--retain", "@."], "is a folder"),
        (["--concept", "Neon", "--lexicon", "/dev/zero"], "cannot read the lexicon"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    base: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    (tmp_path / "empty").touch()
    refused(erase(base, *options), said)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_list_of_concepts_in_other_spellings_is_erased_as_prompts_say_them(
    base: Path, tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbf# orders\r\nVan_Gogh # first\r\nneon\r\n")
    (tmp_path / "keep.txt").write_text("pixel-art\n")
    done = erase(base, "--concept", "@names.txt", "--retain", "@keep.txt", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["concepts"] == ["Van Gogh", "neon"] and report["retain"][0] == "Pixel Art"
    assert report["warnings"] == [
        "'Van_Gogh' is taken as 'Van Gogh', as the lexicon spells it",
        "'pixel-art' is taken as 'Pixel Art', as the lexicon spells it",
    ]
    assert all(line in done.stderr for line in report["warnings"])
    ledger = Checkpoint("base.erase.safetensors").ledger
    assert [target["concept"] for target in ledger[-1]["targets"]] == ["Van Gogh", "neon"]


def test_a_dry_run_prints_the_plan_and_trains_nothing(base: Path, tmp_path: Path) -> None:
    options = ["--concept", "van_gogh", "--concept", "Cat", "--neighbors", "2", "--dry-run"]
    command = ["erase", str(base), *options, "--steps", "100000"]
    done = CliRunner().invoke(app, [*command, "--json", "-q"])
    assert done.exit_code == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["dry_run"] and plan["output"] == "base.erase.safetensors"
    assert (plan["concepts"], plan["kinds"]) == (["Van Gogh", "Cat"], ["style", "object"])
    assert plan["kind"] == "mixed" and len(plan["anchors"]) == 2
    assert "Neon" in plan["companions"] and plan["earlier"] == []
    assert plan["estimate"]["seconds"] > 100 and plan["estimate"]["bytes"] > 1e8
    assert plan["warnings"] == ["'van_gogh' is taken as 'Van Gogh', as the lexicon spells it"]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0 and "erasing 'Van Gogh' (style) to 'photo', 'Cat'" in said.stdout
    assert "100000 steps" in said.stdout and not list(tmp_path.iterdir())


def test_the_plan_is_said_before_the_work_and_not_among_the_results(base: Path) -> None:
    done = erase(base, "--concept", "Neon", "--retain", "Monet")
    assert done.stdout == "base.erase.safetensors\n"
    plan, erased = done.stderr.index("erasing 'Neon'"), done.stderr.index("erased 'Neon'")
    assert plan < done.stderr.index(": Monet") < erased


@pytest.mark.parametrize("spelling", ["ldm", "diffusers"])
def test_a_unet_that_takes_more_than_a_prompt_is_refused_by_its_header(
    tmp_path: Path, spelling: str
) -> None:
    opened = header_of(SD1, 5, tmp_path / "depth.safetensors", spelling)
    with pytest.raises(BadCheckpoint, match="takes 5 channels, not 4: it is a depth model"):
        look_over(opened, Wish(["Neon"]), method="conabl")
    with pytest.raises(BadCheckpoint, match="takes 5 channels"):
        open_model(opened)  # as `sample` does
    look_over(opened, Wish(["Neon"]), method="uce")  # reads the text encoder only
    look_over(
        header_of(SD1, 4, tmp_path / "sd1.safetensors", spelling), Wish(["x"]), method="conabl"
    )


@pytest.mark.parametrize(("family", "channels"), [(SD1, 8), (SD1, 9), (SDXL, 4), (SDXL, 9)])
def test_what_is_run_on_a_prompt_and_a_blank_picture_is_not_refused(
    tmp_path: Path, family: Family, channels: int
) -> None:
    opened = header_of(family, channels, tmp_path / "it.safetensors")
    assert look_over(opened, Wish(["Neon"]), method="conabl") == family


def test_an_unknown_prediction_is_refused_by_its_header(tmp_path: Path) -> None:
    opened = header_of(SD2, 4, tmp_path / "sd2.safetensors")
    with pytest.raises(BadParam, match="--prediction"):
        look_over(opened, Wish(["Neon"]), method="conabl")
    look_over(opened, Wish(["Neon"]), method="conabl", prediction="v_prediction")
