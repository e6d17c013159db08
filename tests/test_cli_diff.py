"""What a user does with `ckptedit diff`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from refusal import refused
from safetensors.torch import load_file, save_file
from tiny_model import random_mini, random_mini_folder
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.files import Checkpoint

ROOT = Path(ckptedit.__file__).parent.parent
BLOCK = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0"
K, V = f"{BLOCK}.attn2.to_k.weight", f"{BLOCK}.attn2.to_v.weight"
TEXT = "cond_stage_model.transformer.text_model.final_layer_norm.weight"


def tensors():
    rng = torch.Generator().manual_seed(0)
    return {
        K: torch.randn(8, 6, generator=rng).half(),
        V: torch.randn(8, 6, generator=rng).half(),
        TEXT: torch.ones(6),
        "first_stage_model.decoder.conv_in.weight": torch.randn(4, 3, generator=rng).bfloat16(),
    }


@pytest.fixture
def base(tmp_path):
    save_file(tensors(), tmp_path / "base.safetensors", metadata={"format": "pt"})
    return tmp_path / "base.safetensors"


@pytest.fixture
def edited(tmp_path):
    save_file(tensors() | {K: tensors()[K] * 1.25}, tmp_path / "edited.safetensors")
    return tmp_path / "edited.safetensors"


def run(*args):
    return CliRunner().invoke(app, ["diff", *map(str, args)])


def python(*args, **options):
    """The command as a process of its own."""
    command = [sys.executable, "-m", "ckptedit", "diff", *map(str, args)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, env=environment, **options)


def test_a_file_is_the_same_as_itself(base):
    result = run(base, base)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "0 of 4 tensors changed, 0 of 114 values",
        "same: every tensor, byte for byte",
    ]


def test_a_changed_file_is_shown_and_exits_with_1(base, edited):
    result = run(base, edited)
    assert result.exit_code == 1
    assert "1 of 4 tensors changed" in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if line.rstrip().endswith(K)]
    assert float(row.split()[0]) == pytest.approx(0.25, rel=1e-2)
    assert "IN04" in result.stdout
    assert result.stdout.endswith("the checkpoints differ\n")
    assert result.stderr == ""


def test_quiet_leaves_the_answer_to_the_exit_status(base, edited, tmp_path):
    for new, status in ((base, 0), (edited, 1)):
        result = run(base, new, "-q")
        assert (result.exit_code, result.stdout, result.stderr) == (status, "", "")
    assert json.loads(run(base, edited, "-q", "--json").stdout)["verdict"] == "differs"
    refused(run(base, tmp_path / "none", "-q"), "no such file")


def test_json_is_one_object_with_the_verdict(base, edited):
    result = run(base, edited, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (report["schema_version"], report["same"], report["verdict"]) == (1, False, "differs")
    (tensor,) = report["tensors"]
    assert (tensor["name"], tensor["block"], tensor["role"]) == (K, "IN04", "k")
    assert tensor["relative"] == pytest.approx(0.25, rel=1e-3)
    assert {gate["rule"]: gate["passed"] for gate in report["gates"]}["no tensor changes"] is False


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--allow", "**.attn2.to_[kv].weight"], 0),
        (["--allow", "**.attn2.to_v.weight"], 1),
        (["--max-rel", "0.5"], 0),
        (["--max-rel", "0.01"], 1),
        (["--max-l2", "100"], 0),
        (["--max-l2", "0.1"], 1),
        (["--max-abs", "1"], 0),
        (["--max-abs", "0.001"], 1),
        (["--limit", "cond_stage_model.**=0"], 0),
        (["--limit", "**.to_k.weight=0.3"], 0),
        (["--limit", "**.to_k.weight=0.2", "--max-rel", "0.5"], 1),
        (["--keys", "!**.to_k.weight"], 0),
        (["--keys", "**.to_k.weight"], 1),
        (["--limit", "**=0.3", "--allow", "**.to_v.weight"], 1),
    ],
)
def test_limits_decide_the_exit_status(base, edited, options, status):
    assert run(base, edited, *options).exit_code == status


def test_a_broken_limit_says_what_was_measured(base, edited):
    result = run(base, edited, "--limit", "**.to_k.weight=0.2")
    assert "broken: relative of each **.to_k.weight <= 0.2, but measured 0.25" in result.stdout
    assert result.stdout.endswith("a limit is exceeded\n")


def test_rules_come_from_a_file_and_options_add_to_them(base, edited, tmp_path):
    rules = tmp_path / "drift.toml"
    rules.write_text("allow = ['**.to_k.weight']\n[total]\nrelative = 0.5\n")
    assert run(base, edited, "--rules", rules).exit_code == 0
    assert run(base, edited, "--rules", rules, "--max-rel", "0.001").exit_code == 1


def test_a_report_serves_as_the_baseline_of_the_next(base, edited, tmp_path):
    report = tmp_path / "report.json"
    report.write_text(run(base, edited, "--json").stdout)
    assert run(base, edited, "--baseline", report).exit_code == 0
    save_file(tensors() | {K: tensors()[K] * 1.5}, edited)
    assert run(base, edited, "--baseline", report).exit_code == 1


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_identical_files_with_nan_do_not_pass_whatever_is_allowed(tmp_path, bad):
    path = tmp_path / "bad.safetensors"
    save_file(tensors() | {TEXT: torch.full((6,), bad)}, path)
    for options in ([], ["--allow", "**"], ["--max-rel", "9"]):
        result = run(path, path, *options)
        assert result.exit_code == 1
        assert f"broken: no value is NaN or infinite\n  {TEXT}\n" in result.stdout
        assert "the checkpoints differ" not in result.stdout


def test_json_stays_valid_with_nan(base, tmp_path):
    save_file(tensors() | {TEXT: torch.full((6,), torch.nan)}, tmp_path / "bad.safetensors")
    report = json.loads(run(base, tmp_path / "bad.safetensors", "--json").stdout)
    assert report["tensors"][0]["l2"] is None
    assert report["nonfinite"] == [TEXT]


def test_structure_fails_unless_it_is_ignored(base, tmp_path):
    more = tmp_path / "more.safetensors"
    save_file(tensors() | {"extra": torch.ones(1)}, more)
    result = run(base, more)
    assert result.exit_code == 1
    assert "broken: no tensor is added\n  extra\n" in result.stdout
    assert run(base, more, "--max-rel", "1").exit_code == 1
    assert run(base, more, "--ignore", "added").exit_code == 0


def test_all_reports_are_written_in_one_pass(base, edited, tmp_path):
    pytest.importorskip("matplotlib")
    files = [tmp_path / name for name in ("drift.md", "drift.xml", "drift.png")]
    options = []
    for option, path in zip(("--markdown", "--junit", "--plot"), files, strict=True):
        options += [option, path]
    result = run(base, edited, "--json", *options)
    assert json.loads(result.stdout)["same"] is False
    starts = (b"## \xe2\x9d\x8c", b"<?xml", b"\x89PNG")
    assert all(path.read_bytes().startswith(s) for path, s in zip(files, starts, strict=True))


def test_reports_are_not_overwritten_unless_forced(base, edited, tmp_path):
    report = tmp_path / "drift.md"
    report.write_text("mine")
    result = run(base, edited, "--markdown", report)
    assert result.exit_code == 2
    assert result.stderr == f"error: {report} exists; --force overwrites it\n"
    assert (report.read_text(), result.stdout) == ("mine", "")
    assert run(base, edited, "--markdown", report, "--force").exit_code == 1
    assert report.read_text().startswith("## ")


@pytest.mark.parametrize("option", ["--markdown", "--junit", "--plot"])
def test_a_report_never_replaces_what_is_compared(base, edited, tmp_path, option):
    link = tmp_path / "link"
    link.hardlink_to(edited)
    before = edited.read_bytes()
    for path in (edited, link):
        refused(run(base, edited, option, path, "--force"), "is an input; write to another name")
    assert edited.read_bytes() == before


def test_two_files_of_one_name_are_refused_before_any_work(base, edited, tmp_path):
    for other in ("--junit", "-o"):
        result = run(base, edited, "--markdown", tmp_path / "x", other, tmp_path / "x")
        refused(result, "two of the files to be written have the same name")
    assert not (tmp_path / "x").exists()


def test_the_figures_of_a_delta_are_in_the_json(base, edited, tmp_path):
    made = json.loads(run(base, edited, "--json", "-o", tmp_path / "d").stdout)["delta"]
    assert Checkpoint(tmp_path / "d").data_sha256() == made["sha256"]
    assert made["output"] == str(tmp_path / "d") and made["exact"] is (made["off"]["values"] == 0)
    assert json.loads(run(base, edited, "--json").stdout)["delta"] is None


def test_where_there_can_be_no_delta_the_answer_is_there_all_the_same(base, tmp_path):
    save_file(tensors() | {"new": torch.ones(2)}, tmp_path / "more.safetensors")
    options = ("-o", tmp_path / "d", "--markdown", tmp_path / "drift.md")
    result = run(base, tmp_path / "more.safetensors", *options)
    assert result.exit_code == 2 and "--ignore added" in result.stderr
    assert "the checkpoints differ" in result.stderr and (tmp_path / "drift.md").exists()
    same = run(base, base, "-o", tmp_path / "d")
    assert same.exit_code == 2 and "same: every tensor" in same.stderr and not same.stdout


def test_spectral_recognises_an_edit_of_one_right_factor(base, tmp_path):
    row = torch.randn(1, 6, generator=torch.Generator().manual_seed(5))
    changed = {
        name: (tensors()[name] + torch.linspace(-1, 1, 8)[:, None] * row).half() for name in (K, V)
    }
    save_file(tensors() | changed, tmp_path / "closed.safetensors")
    result = run(base, tmp_path / "closed.safetensors", "--spectral")
    assert "2 K/V edits of width 6 share one right factor of rank 1" in result.stdout


def test_only_the_top_movers_are_listed_unless_all_are_wanted(base, tmp_path):
    old = {f"t{i:02d}": torch.ones(2) for i in range(30)}
    save_file(old, tmp_path / "old.safetensors")
    save_file({name: 2 * t for name, t in old.items()}, tmp_path / "new.safetensors")

    def listed(*options):
        result = run(tmp_path / "old.safetensors", tmp_path / "new.safetensors", *options)
        lines = result.stdout.splitlines()
        return [line for line in lines if line.strip() and line.split()[-1] in old]

    assert [len(listed(*options)) for options in ([], ["--top", "3"], ["--all"])] == [10, 3, 30]


def test_names_cannot_steer_the_terminal(tmp_path):
    name = "evil\x1b[31m\r[bold]red[/bold]"
    for stem, value in (("old", 0.0), ("new", 1.0)):
        save_file({name: torch.full((2,), value)}, tmp_path / f"{stem}.safetensors")
    result = run(tmp_path / "old.safetensors", tmp_path / "new.safetensors")
    assert "\x1b" not in result.stdout and "\r" not in result.stdout
    assert "evil\\x1b[31m\\r[bold]red[/bold]" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--allow", "**.to_x.weight"], "the pattern '**.to_x.weight' fits none of the 4 tensors"),
        (["--limit", "**.to_x.weight=0"], "the pattern '**.to_x.weight' fits none of the 4"),
        (["--keys", "nothing"], "the pattern 'nothing' fits none of the 4 tensors"),
        (["--limit", "**"], "the limit '**' must read GLOB=VALUE"),
        (["--max-rel", "-1"], "the limit on relative is -1.0; it must be at least 0"),
        (["--ignore", "nan"], "no kind of difference is called 'nan'"),
        (["--rules", "missing.toml"], "cannot read rules from missing.toml"),
        (["--baseline", "missing.json"], "cannot read the baseline missing.json"),
        (["--markdown", "/no/such/folder/x.md"], "there is no folder /no/such/folder"),
        (["--threads", "0"], "threads is 0; it must be 1 or more"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(base, edited, options, message):
    refused(run(base, edited, *options), message)


def test_a_missing_or_broken_file_is_trouble_and_not_a_difference(base, tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"not a checkpoint")
    for path in (tmp_path / "missing.safetensors", tmp_path / "junk.safetensors"):
        result = run(base, path)
        assert result.exit_code == 2
        assert str(path) in result.stderr


def test_either_side_comes_through_a_pipe(base, edited):
    assert python("-", base, input=base.read_bytes()).returncode == 0
    result = python(base, "-", "--json", input=edited.read_bytes())
    assert result.returncode == 1
    assert json.loads(result.stdout)["new"] == "<stdin>"
    assert python("-", "-", input=b"").stderr == (
        b"error: only one of the two checkpoints can be read from stdin\n"
    )


def test_the_delta_is_written_beside_the_report_also_from_a_pipe(base, edited, tmp_path):
    result = python(base, "-", "-o", tmp_path / "delta.safetensors", input=edited.read_bytes())
    assert result.returncode == 0
    assert b"1 of 4 tensors changed" in result.stderr
    assert result.stdout == f"{tmp_path / 'delta.safetensors'}\n".encode()
    assert (tmp_path / "delta.safetensors").stat().st_size > 0


def test_a_delta_on_stdout_is_all_that_is_there(base, edited):
    result = python(base, edited, "-o", "-")
    assert result.returncode == 0
    header = int.from_bytes(result.stdout[:8], "little")
    assert json.loads(result.stdout[8 : 8 + header])["__metadata__"]


def test_a_delta_never_replaces_an_input(base, edited):
    before = edited.read_bytes()
    result = run(base, edited, "-o", edited, "--force")
    assert result.exit_code == 2
    assert f"{edited} is an input" in result.stderr
    assert (edited.read_bytes(), result.stdout) == (before, "")


def test_a_reader_that_goes_away_is_no_error(base, edited):
    command = f"{sys.executable} -m ckptedit diff {base} {edited} --json --all | head -c 5"
    done = subprocess.run(
        command, shell=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert (done.stdout, done.stderr) == (b'{\n  "', b"")


def test_any_number_of_threads_prints_the_same(base, edited):
    outputs = {run(base, edited, "--json", "-j", threads).stdout for threads in (1, 2, 3)}
    assert len(outputs) == 1


def test_shards_compare_with_a_single_file(base, tmp_path):
    folder = tmp_path / "sharded"
    folder.mkdir()
    parts = [dict([item]) for item in tensors().items()]
    names = [f"model-{i:05d}-of-00004.safetensors" for i in range(1, 5)]
    for name, part in zip(names, parts, strict=True):
        save_file(part, folder / name)
    where = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    size = sum(t.numel() * t.element_size() for t in tensors().values())
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": where}))
    assert run(base, index).exit_code == 0


@pytest.mark.parametrize("turned", [False, True])
def test_a_single_file_compares_with_a_folder_of_the_same_model(tmp_path, turned):
    sides = [random_mini(tmp_path / "one.safetensors"), random_mini_folder(tmp_path / "parts")]
    found = run(*sides[:: -1 if turned else 1])
    count = len(Checkpoint(sides[0]))
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].startswith(f"0 of {count} tensors changed")
    assert lines[1].startswith(f"{count} tensors have other names in one of the two")
    unet = tmp_path / "parts" / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(unet)
    (name, *_) = (name for name in weights if "attn2.to_v" in name)
    save_file(weights | {name: weights[name] * 2}, unet)
    report = json.loads(run(*sides[:: -1 if turned else 1], "--json").stdout)
    assert report["counts"] | {"changed": 1, "translated": count} == report["counts"]
    (tensor,) = report["tensors"]
    assert tensor["relative"] == pytest.approx(0.5 if turned else 1.0)
    assert (tensor["name"] in Checkpoint(sides[0])) is not turned
    allowed = "unet.**.attn2.to_v.*" if turned else "model.diffusion_model.**.attn2.to_v.*"
    assert run(*sides[:: -1 if turned else 1], "--allow", allowed).exit_code == 0


def test_nothing_imports_torch(base, edited):
    code = (
        "import sys; from ckptedit.cli import app\n"
        "try: app(['diff', *sys.argv[1:]])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(base), str(edited), "--spectral"]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
