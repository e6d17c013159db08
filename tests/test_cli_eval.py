"""`eval` as a user runs it: shards on two machines, limits in CI, options that do not go together.

One small evaluation of a model with random weights, drawn once for all.
"""

import json
import shlex
import sys
from pathlib import Path

import pytest
from evaluation.test_vit import saved
from PIL import Image
from refusal import refused
from tiny_model import random_mini
from typer.testing import CliRunner, Result

from ckptedit.cli import app
from ckptedit.files import Checkpoint

FEW = ["--erased", "Neon", "--companions", "2", "--steps", "1"]  # 50 pictures: two blocks


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("eval") / "base.safetensors")


@pytest.fixture(scope="module")
def report(base: Path) -> dict:
    done = run(base, *FEW, "--against", base, "--json", "-q")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_report_has_the_names_that_it_always_had_and_intervals(report: dict) -> None:
    names = {"ua", "ra_i", "ra_i_shown", "ra_i_unseen", "ra_c", "clip_erased", "clip_retained"}
    assert names | {"per_concept", "n", "tokenizer"} <= report.keys() and report["n"] == 50
    measured = {name for name in names if report[name] is not None}
    assert report["intervals"].keys() == report["resampled"].keys() == measured
    for name in measured:
        low, high = report["intervals"][name]
        assert low <= report[name] <= high
    assert report["differences"].keys() == measured
    assert all(row["value"] == 0 for row in report["differences"].values())


def test_shards_are_written_once_and_merged_to_the_same_report(
    base: Path, report: dict, tmp_path: Path
) -> None:
    files = [tmp_path / f"part{i}.json" for i in (1, 2)]
    for i, file in enumerate(files, 1):
        line = (base, *FEW, "--against", base, "--shard", f"{i}/2", "-o", file)
        assert run(*line, "-q").stdout == f"{file}\n"
    refused(run(*line, "-q"), "--force")
    merged = run("--merge", *files, "--json")
    assert merged.exit_code == 0 and json.loads(merged.stdout) == report
    refused(run("--merge", files[0]), "each of the 2 shards once")
    refused(run("--merge", base), "is no part of an evaluation")


def test_an_empty_list_of_what_is_erased_is_no_list(base: Path, tmp_path: Path) -> None:
    (empty := tmp_path / "empty.txt").write_text("# nobody yet\n")
    refused(run(base, "--erased", f"@{empty}"), "--erased is empty", "ledger")


def test_aliases_that_no_judge_knows_are_left_out_by_the_ledger_with_a_note(
    base: Path, tmp_path: Path
) -> None:
    edited = tmp_path / "edited.safetensors"
    asked = ["--concept", "Neon", "--alias", "glowing tubes", "--alias", "Cats", "--neighbors", "1"]
    done = CliRunner().invoke(app, ["erase", str(base), *asked, "-o", str(edited), "-q"])
    assert done.exit_code == 0, done.stderr
    kinds = {t["concept"]: t["kind"] for t in Checkpoint(edited).ledger[-1]["targets"]}
    assert kinds == dict.fromkeys(("Neon", "glowing tubes", "Cats"), "style")
    few = ("--retain", "Monet", "--retain", "Fish", "--steps", 1, "--json")
    scored, quiet = run(edited, *few), run(edited, *few, "-q")
    roles = {row["concept"]: row["role"] for row in json.loads(scored.stdout)["per_concept"]}
    assert {name for name, role in roles.items() if role == "erased"} == {"Neon", "Cat"}
    assert "note: 'glowing tubes', another name of 'Neon', is not judged\n" in scored.stderr
    assert "Cats" not in scored.stderr and quiet.stderr == ""
    assert quiet.stdout == scored.stdout


def test_a_limit_that_failed_is_named_on_stderr_beside_the_whole_result(
    base: Path, report: dict
) -> None:
    done = run(base, *FEW, "--json", "-q", "--min-ra", "1")
    assert done.exit_code == 1 and json.loads(done.stdout)["ra_c"] == report["ra_c"]
    assert done.stderr.startswith("error: RA-I is") and "below --min-ra 100%" in done.stderr
    nothing = run(base, "--retain", "Neon", "--companions", "1", "--steps", "1", "--min-ua", "0.5")
    assert nothing.exit_code == 1 and "UA not measured, and --min-ua is 50%" in nothing.stderr


def test_options_without_an_effect_are_refused(base: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.json"
    refused(run(base, base), "one checkpoint at a time")
    refused(run("--merge", part, "--seeds", "2"), "--seeds")
    refused(run("--merge", part, "--shard", "1/2"), "--shard")
    refused(run(base, "--shard", "1/2", "--min-ua", "1"), "--min-ua")
    refused(run(base, "--shard", "3/2"), "write I/N")
    refused(run(base, "-o", part), "--shard")
    refused(run(base, "--min-ua", "nan"), "--min-ua must be a number")
    refused(run("--merge", part, "--min-ra", "nan"), "--min-ra must be a number")
    refused(run(base, "--suite", "nonsense"), "there are: canvas")
    refused(run(base, "--erased", "set:nonsense"), "has no list")
    assert not part.exists()


def test_pictures_are_compared_and_judged_by_what_is_given(
    base: Path, report: dict, tmp_path: Path
) -> None:
    """KID of a checkpoint to itself and to a folder, zero-shot classes, a detector."""
    own = report["fidelity"]
    assert own["against"]["n"] == [48, 48] and own["against"]["kid"] == 0  # from itself
    assert own["reference"] is None
    (tmp_path / "theirs").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64), "red" if name == "a.png" else "blue").save(
            tmp_path / "theirs" / name
        )
    program = "import json, os, sys; print(json.dumps([0.5] * len(os.listdir(sys.argv[1]))))"
    detector = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {{folder}}"
    few = ["--erased", "Neon", "--retain", "Monet", "--retain", "Cat", "--steps", "1"]
    eyes = ("--judge", "clip", "--detector", detector, "--reference", tmp_path / "theirs")
    for i in (1, 2):
        file = tmp_path / f"{i}.json"
        done = run(base, *few, *eyes, "--shard", f"{i}/2", "-o", file, "-q")
        assert done.exit_code == 0, done.stderr
    found = json.loads(run("--merge", tmp_path / "1.json", tmp_path / "2.json", "--json").stdout)
    assert found["detector_erased"] == found["detector_retained"] == 0.5
    assert found["fidelity"]["features"] == "mini's image tower"
    assert found["fidelity"]["reference"]["n"] == [1, 2] and found["n"] == 2
    assert found["ua"] in (0, 1) and found["clip_erased"] is not None


def test_unlearncanvas_is_drawn_by_its_prompts_and_judged_by_files(
    base: Path, tmp_path: Path
) -> None:
    style = saved(tmp_path / "style.safetensors", 51)
    unlearn = ["--suite", "unlearncanvas", "--erased", "set:unlearn-styles/2", "--steps", "1"]
    few = [*unlearn, "--retain", "Rust", "--retain", "Cat", "--seeds", "1"]
    done = run(base, *few, "--classifier", style, "--json", "-q")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    roles = {row["concept"]: row["role"] for row in report["per_concept"]}
    assert roles == {"Abstractionism": "erased", "Byzantine": "erased", "Rust": "unseen"}
    assert report["ra_c"] is None and report["clip_erased"] is None  # nobody looked for objects
    refused(run(base, *few), "--classifier FILE")
    refused(run(base, *few, "--judge", "canvas"), "knows mini's world")
    refused(run(base, *few, "--judge", "canvas", "--classifier", style), "leave one out")
    failed = run(base, *few, "--classifier", style, "--min-ra", "0", "--min-ua", "1", "-q")
    assert failed.exit_code == (0 if report["ua"] == 1 else 1)


def test_the_table_shows_every_figure_with_its_interval(base: Path) -> None:
    done = run(base, *FEW, "-q")
    lines = done.stdout.splitlines()
    assert lines[0] == "base.safetensors: 50 pictures; in brackets: 95 %"
    assert [line.split()[0] for line in lines[1:4]] == ["UA", "RA-I", "unseen"]
    assert lines[1].count("[") == lines[2].count("[") == 1
