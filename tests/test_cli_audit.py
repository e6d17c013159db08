"""`audit`: is it really gone?"""

import json
import shutil
from pathlib import Path

import pytest
from refusal import refused
from typer.testing import CliRunner, Result

import ckptedit
from ckptedit.audits import PROBES, QUICK
from ckptedit.audits.asked import bounds
from ckptedit.cli import app
from ckptedit.errors import BadParam
from ckptedit.families import FAMILIES


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, args)])


@pytest.fixture(scope="module")
def files(tmp_path_factory, checkpoint, family):
    """The tiny model, and edits of it."""
    folder = tmp_path_factory.mktemp("audit")
    base = folder / "base.safetensors"
    shutil.copyfile(checkpoint, base)
    how = {"kind": "style", "anchor": "Monet", "method": "uce", "neighbors": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, family.name, family)
        ckptedit.erase(base, "Van Gogh", folder / "one.safetensors", **how)
        ckptedit.erase(base, "Van Gogh", folder / "d.safetensors", delta=True, **how)
        ckptedit.erase(
            base, "Van Gogh", folder / "private.safetensors", private_concepts=True, **how
        )
        yield folder


def pair(files: Path, name: str = "one") -> list[object]:
    return [files / f"{name}.safetensors", "--original", files / "base.safetensors"]


def test_the_report_has_stable_names_and_the_ledger_says_what_was_erased(files):
    done = run(*pair(files), "--json", "-q")
    assert done.exit_code == 0 and done.stderr == ""
    report = json.loads(done.stdout)
    assert (report["concept"], report["kind"], report["anchor"]) == ("Van Gogh", "style", "Monet")
    assert list(report["probes"]) == list(QUICK) and report["passed"] and report["limits"] == []
    assert report["worst"] in ("residual", "recoverability")
    for name, found in report["probes"].items():
        assert set(found) == {"by", "left", "says", "figures", "rows", "unread"}, name
    residual = report["probes"]["residual"]
    assert {"residual", "plain", "keys", "values", "left", "worst", "way"} <= set(
        residual["figures"]
    )
    assert {"name", "way", "before", "left", "residual", "prompt"} <= set(residual["rows"][0])
    assert {"restored", "from_word", "from_name", "norm", "word"} <= set(
        report["probes"]["recoverability"]["figures"]
    )


def test_the_table_is_worst_first_and_a_sentence_for_each_probe(files):
    done = run(*pair(files))
    lines = done.stdout.splitlines()
    assert done.exit_code == 0 and lines[0] == "Van Gogh (style), instead of it Monet"
    shares = [int(line.split("%")[0]) for line in lines[2:4]]
    assert shares == sorted(shares, reverse=True) and "collateral" in lines[4]
    assert "not asked" in done.stdout or "residual:" in done.stdout


@pytest.mark.parametrize(
    ("option", "probe", "loose", "tight"),
    [
        ("--max-residual", "residual", 9, 0),
        ("--max-left", "residual", 1, -9),
        ("--max-collateral", "collateral", 9, 0),
        ("--min-distance", "recoverability", 0, 99),
        ("--max-restored", "recoverability", 1, 0),
    ],
)
def test_a_limit_sets_the_exit_status_and_is_named(files, option, probe, loose, tight):
    other = "collateral" if probe != "collateral" else "residual"
    kept = run(*pair(files), option, loose, "--probe", other, "--json")
    assert kept.exit_code == 0, kept.stderr
    report = json.loads(kept.stdout)
    assert set(report["probes"]) == {probe, other}  # asked, since there is a limit on it
    assert [limit["kept"] for limit in report["limits"]] == [True]
    failed = run(*pair(files), option, tight)
    assert failed.exit_code == 1
    assert f"FAILED: {option} {tight}, {probe}'s" in failed.stdout
    assert failed.stderr.startswith(f"error: {option} {tight}, {probe}'s")


def test_every_limit_has_its_option(files):
    help_text = CliRunner().invoke(app, ["audit", "--help"]).stdout
    for name in bounds():
        assert f"--{name.replace('_', '-')}" in help_text


def test_without_the_original_it_says_what_to_do(files):
    refused(run(files / "one.safetensors"), "--original PATH", "before the edit")


def test_an_original_without_the_concept_is_none(files):
    one = files / "one.safetensors"
    refused(run(one, "--original", one), "erased already", "--original")


def test_a_delta_is_audited_as_what_it_makes_of_the_original(files):
    whole, delta = (
        json.loads(run(*pair(files, name), "--json", "-q").stdout) for name in ("one", "d")
    )
    for name in QUICK:
        assert whole["probes"][name]["figures"] == delta["probes"][name]["figures"]


def test_a_hidden_name_is_audited_by_whoever_knows_it(files):
    refused(run(*pair(files, "private")), "--concept")
    hidden = run(*pair(files, "private"), "--concept", "Van Gogh", "-q")
    refused(hidden, "hides the anchor", "--anchor")
    done = run(*pair(files, "private"), "--concept", "van gogh", "--anchor", "Monet", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["kind"] == "style"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--probe", "nonsense"], ("no probe is called 'nonsense'", *PROBES)),
        (["-p", "meant=1"], ("PROBE.NAME=VALUE",)),
        (["-p", "residual.meant=7"], ("meant must be in [0, 1]",)),
        (["-p", "residual.meat=1"], ("no parameter meat", "meant")),
        (["--probe", "collateral", "-p", "residual.meant=1"], ("none of the probes asked",)),
        (["--concept", "Monett"], ("did you mean", "--alias")),
        (["--kind", "nonsense"], ("nonsense",)),
        (["--max-left", "nan"], ("max_left must be a share, at most 1",)),
        (["--max-restored", "95"], ("max_restored must be a share, at most 1",)),
        (["--max-collateral", "nan"], ("max_collateral must be finite",)),
        (["--alias", "@nowhere.txt"], ("nowhere.txt",)),
        (["--seed", "-4"], ("seed must be in 0..2^63-1, not -4",)),
        (["--seed", str(2**63)], ("seed must be in 0..2^63-1",)),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(files, args, said):
    refused(run(*pair(files), *args, "-q"), *said)


def test_python_asks_the_same_and_refuses_the_same(files):
    one, _, base = pair(files)
    found = ckptedit.audit(one, "Van Gogh", original=base, limits={"max_residual": 0.0})
    assert not found.passed and found.limits[0].name == "max_residual"
    with pytest.raises(BadParam, match="no limit is called"):
        ckptedit.audit(one, original=base, limits={"residual": 0.0})
    with pytest.raises(BadParam, match="--original"):
        ckptedit.audit(one)


def test_what_no_ledger_tells_of_is_audited_with_a_note(files):
    asked = ("--concept", "Hokusai", "--kind", "style", "--anchor", "Monet")
    done = run(*pair(files), *asked, "--probe", "residual")
    assert done.exit_code == 0 and "does not say that 'Hokusai' was erased" in done.stderr


def test_deep_leaves_out_what_nobody_can_answer_and_says_why(files):
    """The tiny model draws nothing, and no judge knows its pictures."""
    done = run(*pair(files), "--deep", "--json", "-q", "-p", "gap.pictures=1", "-p",
               "inversion.pictures=1", "-p", "inversion.steps=2")  # fmt: skip
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert {"prefix", "relearning"} <= set(report["left_out"])
    assert set(report["left_out"]) | set(report["probes"]) == set(PROBES)
    inversion = report["probes"]["inversion"]
    assert inversion["left"] is None and inversion["figures"]["apart"] > 0
    table = run(*pair(files), "--deep", "-p", "gap.pictures=1", "-p", "inversion.pictures=1", "-p",
                "inversion.steps=2").stdout  # fmt: skip
    assert "left out, prefix: " in table


@pytest.mark.parametrize("asked", [("--probe", "prefix"), ("--max-relearned", "0.5")])
def test_what_is_asked_for_and_has_no_answer_is_refused(files, asked):
    refused(run(*pair(files), *asked, "-q"), "no suite is tiny's own")
