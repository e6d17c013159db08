"""`demo`, `erase` and `eval` as a user runs them: what comes out, and what bad input gets.

The edits are two steps long: these tests are about files, words and statuses, not about quality.
"""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from refusal import refused
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.files import Checkpoint, Spec, write

QUICK = ["--steps", "2", "--batch", "2", "--pictures", "2", "--neighbors", "2", "--device", "cpu"]


def run(*args: str | Path):
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("mini") / "base.safetensors"
    result = run("demo", "-o", path)
    assert result.exit_code == 0 and result.stdout == f"{path}\n"
    return path


@pytest.fixture(scope="module")
def edited(base) -> Path:
    path = base.with_name("edited.safetensors")
    result = run("erase", base, "--concept", "Van Gogh", *QUICK, "-o", path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{path}\n"
    return path


def test_every_tensor_but_the_keys_and_values_is_byte_identical(base, edited):
    before, after = Checkpoint(base), Checkpoint(edited)
    assert list(before) == list(after)
    changed = [n for n in before if before.raw(n).tobytes() != after.raw(n).tobytes()]
    assert changed
    assert all(n.endswith(("attn2.to_k.weight", "attn2.to_v.weight")) for n in changed)


def test_same_seed_same_bytes_other_seed_other_bytes(base, edited, tmp_path):
    again, other = tmp_path / "again.safetensors", tmp_path / "other.safetensors"
    run("erase", base, "--concept", "Van Gogh", *QUICK, "-o", again, "-q")
    run("erase", base, "--concept", "Van Gogh", *QUICK, "--seed", "1", "-o", other, "-q")
    assert again.read_bytes() == edited.read_bytes()
    assert other.read_bytes() != edited.read_bytes()


def test_requests_follow_one_another_in_the_ledger(edited, tmp_path):
    path = tmp_path / "two.safetensors"
    result = run("erase", edited, "--concept", "Cat", *QUICK, "-o", path, "--json", "-q")
    report = json.loads(result.stdout)
    ledger = Checkpoint(path).ledger
    assert [line["concepts"] for line in ledger] == [["Van Gogh"], ["Cat"]]
    assert ledger[1]["parent_sha256"] == Checkpoint(edited).data_sha256()
    assert report["kind"] == "object" and report["output"] == str(path)
    assert report["leak"]["float32"] <= 1e-5
    for name in ("concepts", "method", "guards", "steps", "seconds", "coverage", "room"):
        assert name in report
    assert set(report["kv_change"]) == {"retain", "target"} and report["drift"]["relative"] > 0


def test_several_concepts_go_together(base, tmp_path):
    path = tmp_path / "both.safetensors"
    both = ["--concept", "Monet", "--concept", "Neon"]
    assert run("erase", base, *both, *QUICK, "-o", path, "-q").exit_code == 0
    assert Checkpoint(path).ledger[0]["concepts"] == ["Monet", "Neon"]


def test_an_edit_pipes_into_diff(base):
    command = [sys.executable, "-m", "ckptedit"]
    erase = [*command, "erase", str(base), "--concept", "Neon", *QUICK, "-q", "-o", "-"]
    edit = subprocess.run(erase, capture_output=True, check=True)
    compare = [*command, "diff", str(base), "-", "--json", "-q"]
    found = subprocess.run(compare, input=edit.stdout, capture_output=True)
    assert found.returncode == 1
    report = json.loads(found.stdout)
    assert not report["same"] and report["total"]["l2"] > 0


@pytest.mark.parametrize(
    "options, words",
    [
        (["--concept", ""], ["empty"]),
        (["--concept", "very " * 40], ["tokens"]),
        (["--concept", "Neon", "--kind", "mood"], ["mood", "style"]),
        (["--concept", "Neon", "--retain", "neon"], ["neon", "retain"]),
        (["--concept", "Neon", "--retain", "@/nowhere.txt"], ["/nowhere.txt"]),
        (["--concept", "Neon", "--steps", "0"], ["steps"]),
        (["--concept", "Neon", "--lr", "-1"], ["lr"]),
        (["--concept", "Neon", "--guard", "gradprof"], ["gradprof"]),
        (["--concept", "Neon", "--device", "cuda:7"], ["cuda:7"]),
        (["--concept", "Neon", "--anchor", "neon"], ["anchor"]),
        (["--concept", "Neon", "--concept", "Cat", "--alias", "Tom"], ["one concept; there are 2"]),
        (["--concept", "Neon", "--alias", " "], ["the alias '' is empty"]),
        (["--concept", "Neon", "--alias", "very " * 40], ["tokens"]),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_bad_options_are_one_line_and_write_nothing(base, tmp_path, options, words):
    target = tmp_path / "out.safetensors"
    refused(run("erase", base, *QUICK, *options, "-o", target), *words)
    assert not list(tmp_path.iterdir())


def test_a_retain_set_that_spans_everything_leaves_nothing_to_edit(base, tmp_path):
    everything = ["--guard", "gradproj:hard", "--param", "energy=1", "--neighbors", "24"]
    result = run(
        "erase", base, "--concept", "Neon", *QUICK, *everything, "-q", "-o", tmp_path / "x"
    )
    refused(result, "span all")


def damaged(kind: str, base: Path, folder: Path) -> Path:
    path = folder / f"{kind}.{'ckpt' if kind == 'pickle' else 'safetensors'}"
    if kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "truncated":
        path.write_bytes(base.read_bytes()[:-1000])
    elif kind == "pickle":
        path.write_bytes(b"\x80\x02}q\x00.")
    elif kind == "other":
        write(path, [Spec("a.weight", "F32", (2,))], [np.zeros(2, np.float32)], {})
    return path


@pytest.mark.parametrize("command", ["erase", "eval"])
@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "pickle", "other"])
def test_bad_files_are_one_line_and_write_nothing(base, tmp_path, command, kind):
    path = damaged(kind, base, tmp_path)
    rest = ["--concept", "Neon", "-o", tmp_path / "out.safetensors"] if command == "erase" else []
    refused(run(command, path, *rest))
    assert not (tmp_path / "out.safetensors").exists()


def test_weights_that_are_no_numbers_are_refused(base, tmp_path):
    broken, checkpoint = tmp_path / "nan.safetensors", Checkpoint(base)
    name = next(n for n in checkpoint if n.endswith("attn2.to_v.weight"))
    content = bytearray(base.read_bytes())
    content[checkpoint[name].offset : checkpoint[name].offset + 2] = b"\x00\x7e"  # fp16 NaN
    broken.write_bytes(content)
    target = tmp_path / "out.safetensors"
    refused(run("erase", broken, "--concept", "Neon", *QUICK, "-o", target), "NaN")
    assert not target.exists()


def test_an_output_that_exists_or_is_the_input_is_not_touched(base, edited, tmp_path):
    before = edited.read_bytes()
    refused(run("erase", base, "--concept", "Neon", *QUICK, "-o", edited), "exists")
    refused(run("erase", base, "--concept", "Neon", *QUICK, "-o", base, "--force"))
    assert edited.read_bytes() == before


def test_a_full_disk_is_one_line_and_leaves_nothing(base, tmp_path):
    limit = 1 << 20  # bytes that any one file may have

    def shrink() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    target = tmp_path / "out.safetensors"
    command = [sys.executable, "-m", "ckptedit", "erase", str(base), "--concept", "Neon", *QUICK]
    done = subprocess.run(
        [*command, "-q", "-o", str(target)], capture_output=True, text=True, preexec_fn=shrink
    )
    assert done.returncode == 2 and done.stderr.startswith("error: "), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_interrupt_in_mid_training_leaves_nothing(base, tmp_path):
    command = [sys.executable, "-m", "ckptedit", "erase", str(base), "--concept", "Neon"]
    command += ["--guard", "none", "--steps", "100000", "--pictures", "2", "--batch", "2"]
    command += ["-o", str(tmp_path / "x")]

    def listen() -> None:  # a test run in the background is started with interrupts ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen) as child:
        patience = Timer(300, child.kill)
        patience.start()
        try:
            assert child.stderr
            begun = any(": erasing" in line for line in child.stderr)  # as its log says
            child.send_signal(signal.SIGINT)
            _, stderr = child.communicate()
        finally:
            patience.cancel()
            child.kill()
    assert begun and child.returncode == 130 and "Traceback" not in stderr, stderr
    assert stderr.endswith("error: interrupted; nothing was written\n")
    assert not list(tmp_path.iterdir())


def test_eval_scores_what_the_ledger_says(edited):
    few = ["--companions", "1", "--steps", "2", "--retain", "Neon", "--retain", "Cat"]
    result = run("eval", edited, *few, "--json", "-q")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    roles = {row["concept"]: row["role"] for row in report["per_concept"]}
    assert roles == {"Van Gogh": "erased", "Neon": roles["Neon"], "Cat": "unseen"}
    assert report["n"] == 2 and 0 <= report["ua"] <= 1 and 0 <= report["ra_c"] <= 1


def test_eval_refuses_what_the_judge_does_not_know(base):
    refused(run("eval", base, "--erased", "Banksy"), "Banksy")


def test_eval_exits_with_1_below_a_limit(base):
    few = ["--erased", "Neon", "--retain", "Monet", "--companions", "1", "--seeds", "2"]
    result = run("eval", base, *few, "--min-ua", "1", "-q")
    assert result.exit_code == 1  # nothing was erased: Neon is still there
