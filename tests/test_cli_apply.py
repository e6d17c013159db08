"""`ckptedit apply`, and `diff -o` before it, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deltas.conftest import (  # noqa: F401
    ERASED,
    KEY,
    SHAPES,
    TEXT,
    VALUE,
    dense,
    low_rank,
    make,
    numbers,
    stored,
)  # fmt: skip
from refusal import refused
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.files import Checkpoint, write_edited

EDIT = {KEY: low_rank(SHAPES[KEY], 4), VALUE: low_rank(SHAPES[VALUE], 4)}


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(ckptedit.__file__).parent.parent))


@pytest.fixture
def edit(make):  # noqa: F811
    """base, edited, and an exact delta between them."""
    base, edited = make("base"), make("edited", changes=EDIT, lines=[ERASED])
    assert run("diff", base, edited, "-o", "d.safetensors", "--exact", "-q").exit_code == 0
    return base, edited, Path("d.safetensors")


def test_diff_writes_a_delta_and_still_answers(make):  # noqa: F811
    base, edited = make("base"), make("edited", changes=EDIT)
    result = run("diff", base, edited, "-o", "d.safetensors", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["verdict"] == "differs"
    notes = result.stderr.splitlines()
    assert len(notes) == 2 and all("to the bit" in note and "--exact" in note for note in notes)
    assert Path("d.safetensors").stat().st_size < base.stat().st_size / 5
    again = run("diff", base, edited, "-o", "d.safetensors")
    assert again.exit_code == 2 and "d.safetensors exists; --force" in again.stderr


def test_apply_writes_beside_you_and_prints_the_path_alone(edit):
    base, edited, delta = edit
    result = run("apply", base, delta)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "base.apply.safetensors\n", "")
    assert stored("base.apply.safetensors") == stored(edited)


def test_reverse_takes_it_out_again(edit):
    base, edited, delta = edit
    result = run("apply", edited, delta, "-R", "-o", "back.safetensors")
    assert (result.exit_code, result.stderr) == (0, "")
    assert stored("back.safetensors") == stored(base)


@pytest.mark.parametrize("start", ["there.safetensors", "edited.safetensors"])
def test_reverse_says_by_how_much_it_is_not_exact(make, start):  # noqa: F811
    """Out of what `apply` wrote, and out of the checkpoint that the delta was made from."""
    base, edited = make("base"), make("edited", changes=EDIT)
    run("diff", base, edited, "-o", "d.safetensors", "-q")
    run("apply", base, "d.safetensors", "-o", "there.safetensors", "-q")
    result = run("apply", start, "d.safetensors", "-R", "-o", "back.safetensors")
    before, after = numbers(base), numbers("back.safetensors")
    differ = sum(int((before[name] != after[name]).sum()) for name in EDIT)
    worst = max(float(np.abs(before[name] - after[name]).max()) for name in EDIT)
    note = f"not the base to the bit: {differ} values differ from it, by {worst:.2g} at most"
    assert result.exit_code == 0 and note in result.stderr and differ > 0


def test_json_has_the_agreed_names(edit):
    base, edited, delta = edit
    report = json.loads(run("apply", base, delta, "-o", "o.safetensors", "--json").stdout)
    with Checkpoint(edited) as checkpoint:
        assert report == {
            "schema_version": 1,
            "output": "o.safetensors",
            "sha256": checkpoint.data_sha256(),
            "strength": 1.0,
            "reverse": False,
            "tensors": {"diff": 2},
            "fits": True,
            "differing": [],
            "verified": True,
            "exact": True,
            "off": {"values": 0, "worst": 0.0},
        }


def test_strength_scales(edit):
    base, edited, delta = edit
    assert run("apply", base, delta, "--strength", "0.5", "-o", "half.safetensors").exit_code == 0
    start, end, half = numbers(base), numbers(edited), numbers("half.safetensors")
    np.testing.assert_allclose(half[KEY], (start[KEY] + end[KEY]) / 2, rtol=1e-3, atol=1e-6)
    assert run("apply", base, delta, "-s", "0", "-o", "none.safetensors").exit_code == 0
    assert stored("none.safetensors") == stored(base)


def test_a_negative_strength_is_no_reversal(edit):
    base, edited, delta = edit
    result = run("apply", base, delta, "-s", "-1", "-o", "minus.safetensors", "--json")
    report = json.loads(result.stdout)
    assert (report["strength"], report["reverse"], report["verified"]) == (-1, False, False)
    assert run("apply", edited, delta, "-R", "-s", "-1", "-o", "twice.safetensors").exit_code == 0
    old, new = numbers(base), numbers(edited)
    for path, factor in (("minus.safetensors", -1), ("twice.safetensors", 2)):
        for name, values in numbers(path).items():
            wanted = old[name] + factor * (new[name] - old[name])
            np.testing.assert_allclose(values, wanted, atol=2e-4)


def test_a_dry_run_tells_and_writes_nothing(edit):
    base, edited, delta = edit
    before = set(Path().iterdir())
    result = run("apply", base, delta, "-n")
    assert result.exit_code == 0
    assert result.stdout.startswith("fits; would change 2 tensors (2 diff), write ")
    assert json.loads(run("apply", base, delta, "-n", "--json").stdout)["output"] is None
    assert run("apply", edited, delta, "-n").exit_code == 1
    assert set(Path().iterdir()) == before


def test_a_wrong_base_is_status_1_with_one_line_and_fuzz_goes_on(edit, make):  # noqa: F811
    _, _, delta = edit
    other = make("other", changes={KEY: dense(SHAPES[KEY])})
    result = run("apply", other, delta)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: d.safetensors does not fit {other}: 1 of 2 tensors (")
    assert KEY in result.stderr and "--fuzz" in result.stderr and result.stderr.count("\n") == 1
    assert not Path("other.apply.safetensors").exists()
    report = json.loads(run("apply", other, delta, "--fuzz", "--json", "-q").stdout)
    assert (report["fits"], report["differing"], report["verified"]) == (False, [KEY], False)


def test_a_base_that_differs_elsewhere_is_noted(edit, make):  # noqa: F811
    _, _, delta = edit
    result = run("apply", make("other", changes={TEXT: dense(SHAPES[TEXT])}), delta)
    assert result.exit_code == 0 and "tensors that it leaves alone" in result.stderr


def test_a_pipe_runs_through_stdin_and_stdout(edit):
    base, edited, delta = edit
    command = f"{sys.executable} -m ckptedit apply - {delta} -o -"
    piped = subprocess.run(command.split(), stdin=base.open("rb"), capture_output=True)
    assert piped.returncode == 0, piped.stderr
    Path("piped.safetensors").write_bytes(piped.stdout)
    assert stored("piped.safetensors") == stored(edited)
    command = f"{sys.executable} -m ckptedit diff {base} {edited} --exact -q -o -"
    delta_bytes = subprocess.run(command.split(), capture_output=True).stdout
    command = f"{sys.executable} -m ckptedit apply {base} - -o o.safetensors"
    subprocess.run(command.split(), input=delta_bytes, check=True)
    assert stored("o.safetensors") == stored(edited)


def test_needs_no_torch(edit):
    base, _, delta = edit
    code = f"""if True:
        import sys
        from typer.testing import CliRunner
        from ckptedit.cli import app
        for command in (["apply", "{base}", "{delta}"], ["export", "{delta}", "--rank", "4"]):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, result.output
        assert not {{"torch", "diffusers", "transformers"}} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_lora_of_another_tool_needs_fuzz(edit):
    base, edited, delta = edit
    run("export", delta, "--rank", "4", "-o", "own.safetensors", "-q")
    with Checkpoint("own.safetensors") as own:
        write_edited("lora.safetensors", own, {}, metadata={"format": "pt"})
    result = run("apply", base, "lora.safetensors")
    refused(result, "another tool wrote it; --fuzz", status=1)
    refused(run("export", "lora.safetensors"), "is no delta: `ckptedit import FILE BASE` makes one")
    result = run("apply", base, "lora.safetensors", "--fuzz", "-o", "o.safetensors")
    assert result.exit_code == 0 and "nothing tells whether it fits" in result.stderr
    ours, theirs = numbers("o.safetensors"), numbers(edited)
    for name in EDIT:
        assert np.abs(ours[name] - theirs[name]).max() < 2e-4


def bad_input(base, edited, delta):
    Path("text.safetensors").write_text("hello")
    with Checkpoint(delta) as file:
        name = next(iter(file))
        values = file.values(name).copy()
        values.flat[0] = np.nan
        raw = values.reshape(-1).view(np.uint8)
        write_edited("nan.safetensors", file, {name: raw}, metadata=file.metadata)
    return [
        (1, "does not fit", [edited, delta]),
        (2, "no such file", [base, "missing.safetensors"]),
        (2, "text.safetensors", [base, "text.safetensors"]),
        (2, "is no delta", [base, edited]),
        (2, "holds NaN or Inf", [base, "nan.safetensors"]),
        (2, "edited.safetensors exists; --force", [base, delta, "-o", edited]),
        (2, "is an input; --in-place", [base, delta, "-o", base, "--force"]),
        (2, "is an input", [base, delta, "-o", delta, "--force"]),
        (2, "is an input", [base, delta, "-o", delta, "--force", "--in-place"]),
        (2, "strength must be a finite number", [base, delta, "-s", "nan"]),
        (2, "does not fit into its F16", [base, delta, "-s", "1e9"]),
        (2, "both want stdout", [base, delta, "-o", "-", "--json"]),
        (2, "only one of BASE and DELTA", ["-", "-"]),
    ]


def test_bad_input_is_one_line_and_the_right_status_and_writes_nothing(edit):
    cases = bad_input(*edit)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    for status, message, arguments in cases:
        refused(run("apply", *arguments), message, status=status)
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--exact"], "--exact is for the delta that -o writes"),
        (["-o", "-", "--json"], "both want stdout"),
        (["-o", "nowhere/x.safetensors"], "there is no folder nowhere"),
    ],
)
def test_contradictions_of_diff_o_are_refused(edit, arguments, message):
    base, edited, _ = edit
    result = run("diff", base, edited, *arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_a_delta_of_equal_files_is_refused(edit):
    base, _, _ = edit
    result = run("diff", base, base, "-o", "x.safetensors")
    assert result.exit_code == 2 and "nothing differs" in result.stderr


def test_diff_o_prints_the_path_alone_and_ends_with_0(make):  # noqa: F811
    base, edited = make("base"), make("edited", changes=EDIT)
    loud = run("diff", base, edited, "-o", "d.safetensors")
    assert (loud.exit_code, loud.stdout) == (0, "d.safetensors\n")
    assert "2 of 8 tensors changed" in loud.stderr and "--exact makes it so" in loud.stderr
    quiet = run("diff", base, edited, "-o", "d.safetensors", "--force", "-q")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "d.safetensors\n", "")


def test_diff_o_takes_keys_and_ignore_and_keeps_to_limits(make):  # noqa: F811
    base = make("base")
    more = make("more", changes=EDIT, replace={"extra.weight": np.zeros((2, 2), np.float32)})
    refused(run("diff", base, more, "-o", "d.safetensors", "-q"), "--ignore added")
    chosen = ("--ignore", "added", "--keys", "**.to_k.weight", "-o", "d.safetensors", "-q")
    assert run("diff", base, more, *chosen).exit_code == 0
    assert list(ckptedit.read_delta("d.safetensors")) == [KEY]
    tight = run("diff", base, more, *chosen, "--force", "--max-rel", "1e-6")
    assert (tight.exit_code, tight.stdout) == (1, "d.safetensors\n")
