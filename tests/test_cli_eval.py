"""`eval` as a user runs it: shards on two machines, limits in CI, options that do not go together.

One small evaluation of a model with random weights, drawn once for all.
"""

import json
from pathlib import Path

import pytest
from refusal import refused
from tiny_model import random_mini
from typer.testing import CliRunner, Result

from ckptedit.cli import app

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
    refused(run(base, "--suite", "nonsense"), "there are: canvas")
    refused(run(base, "--erased", "set:nonsense"), "has no list")
    assert not part.exists()


def test_the_table_shows_every_figure_with_its_interval(base: Path) -> None:
    done = run(base, *FEW, "-q")
    lines = done.stdout.splitlines()
    assert lines[0] == "base.safetensors: 50 pictures; in brackets: 95 %"
    assert [line.split()[0] for line in lines[1:4]] == ["UA", "RA-I", "unseen"]
    assert lines[1].count("[") == lines[2].count("[") == 1
