"""What holds for the whole command line: wrong usage, interruption, and where output goes."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refusal import refused
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.cli.output import default_output
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint, Spec, write

ROOT = Path(ckptedit.__file__).parents[1]


def put(path: Path, value: int = 0, count: int = 100) -> Path:
    """A checkpoint of one tensor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, [Spec("w", "F16", (count,))], [np.full(count, value, np.float16)], {})
    return path


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["info"], "Missing argument 'CKPT'"),
        (["info", "a", "--nonsense"], "No such option: --nonsense; see root info --help"),
        (["info", "a", "b"], "unexpected extra argument"),
        (["merge", "a", "b", "--density", "x"], "--density"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr_and_status_2(arguments, complaint):
    refused(CliRunner().invoke(app, arguments), complaint)


def test_without_arguments_it_shows_its_help():
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2 and "Usage:" in result.stderr and "info" in result.stderr


def test_debug_shows_the_traceback_too():
    result = CliRunner().invoke(app, ["--debug", "info", "/nonsense"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: /nonsense: no such file\n")


def test_output_goes_to_the_working_folder_under_the_name_of_the_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = put(tmp_path / "models/base.safetensors")
    component = tmp_path / "pipe/unet/diffusion_pytorch_model.safetensors"
    put(component)
    assert default_output(str(base), "merged") == Path("base.merged.safetensors")
    assert default_output("-", "merged") == Path("stdin.merged.safetensors")
    assert default_output(str(tmp_path / "pipe"), "merged") == Path("pipe.merged")
    assert default_output(str(component.parent), "merged") == Path("unet.merged.safetensors")
    (tmp_path / "loop").symlink_to("loop")
    assert default_output("loop", "merged") == Path("loop.merged.safetensors")


def merge(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ckptedit", "merge", *arguments, "--method", "linear"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, **options)


@pytest.fixture
def models(tmp_path) -> Path:
    put(tmp_path / "a.safetensors", 1, 1 << 20)
    put(tmp_path / "b.safetensors", 2, 1 << 20)
    return tmp_path


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["-o", "b.safetensors"], "b.safetensors is an input; --in-place overwrites it"),
        (["-o", "b.safetensors", "--force"], "b.safetensors is an input; --in-place"),
        (["-o", "old"], "old exists; --force overwrites it"),
        (["-o", "no/out"], "no/out: there is no folder no"),
    ],
)
def test_output_never_overwrites_unasked(models, options, complaint):
    (models / "old").write_text("old")
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    done = merge(models, "a.safetensors", "b.safetensors", *options)
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.decode().startswith(f"error: {complaint}")
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


FULL = b"error: out: File too large (the output takes 2097232 bytes)\n"


def test_a_full_disk_is_one_line_and_leaves_nothing(models):
    import resource

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = merge(models, "a.safetensors", "b.safetensors", "-o", "out", preexec_fn=small_disk)
    assert done.returncode == 2 and done.stderr == FULL
    assert sorted(path.name for path in models.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_commands_join_by_pipes(models):
    """A checkpoint goes out on stdout, in on stdin, and nothing else is on stdout."""
    shell = (
        "set -o pipefail; python -m ckptedit merge a.safetensors b.safetensors -m linear -o - -q"
        " | python -m ckptedit info - --json -q"
    )
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(["bash", "-c", shell], cwd=models, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    merge(models, "a.safetensors", "b.safetensors", "-o", "out.safetensors")
    assert Checkpoint(models / "out.safetensors").data_sha256() in done.stdout.decode()


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Runs `ckptedit` and what follows on the line, as a shell understands it."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = ["bash", "-c", f'"{sys.executable}" -m ckptedit {line}']
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("diff a.safetensors b.safetensors >/dev/full", "stdout: No space left on device"),
        ("diff a.safetensors b.safetensors --json >/dev/full", "stdout: No space left on device"),
        ("diff a.safetensors b.safetensors >&-", "stdout: Bad file descriptor"),
        ("diff --help >/dev/full", "stdout: No space left on device"),
        ("--help >&-", "stdout: Bad file descriptor"),
        ("info a.safetensors >/dev/full", "stdout: No space left on device"),
        ("info a.safetensors >&-", "stdout: Bad file descriptor"),
        ("info - <&-", "<stdin>: Bad file descriptor"),
        ("merge a.safetensors b.safetensors >/dev/full", "stdout: No space left on device"),
        ("merge a.safetensors b.safetensors -o - >/dev/full", "stdout: No space left on device"),
        ("merge a.safetensors b.safetensors -o - >&-", "stdout: Bad file descriptor"),
    ],
)
def test_a_stream_that_is_full_or_closed_is_one_line_and_status_2(models, line, complaint):
    done = shell(models, line)
    assert (done.returncode, done.stderr) == (2, f"error: {complaint}\n")


@pytest.mark.parametrize("stderr", ["/dev/full", "&-"])
@pytest.mark.parametrize(
    "line, status",
    [
        ("info a.safetensors >/dev/full", 2),
        ("info nonsense", 2),
        ("diff a.safetensors b.safetensors", 1),
        ("info a.safetensors", 0),
    ],
)
def test_the_status_is_right_even_if_nobody_can_be_told(models, line, status, stderr):
    assert shell(models, f"{line} 2>{stderr}").returncode == status


def test_a_path_is_printed_as_it_was_given_whatever_its_bytes(models):
    done = shell(models, "merge a.safetensors b.safetensors -o $'\\xff' | od -An -tx1")
    assert (done.stdout, done.stderr) == (" ff 0a\n", "")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_an_interrupted_command_leaves_nothing(models, number, status):
    """It waits for the rest of its input, a pipe that never ends, and is told to stop."""
    read, feed = os.pipe()
    command = [sys.executable, "-m", "ckptedit", "merge", "a.safetensors", "-", "-o", "out"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command,
        cwd=models,
        env=env,
        stdin=read,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with process:
        os.close(read)
        os.write(feed, bytes(1 << 20))  # more than a pipe holds: returns when it is being read
        process.send_signal(number)
        assert process.wait(30) == status
        assert b"Traceback" not in process.stderr.read()
    os.close(feed)
    assert sorted(path.name for path in models.iterdir()) == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_said_of_an_interrupted_command_is_true(tmp_path, monkeypatch, when):
    """An interrupt may come when the file is there and only its folder is to reach the disk."""
    from ckptedit.files import publish

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    name = {"before": "_link", "after": "sync_folder"}[when]
    monkeypatch.setattr(publish, name, interrupted)
    result = CliRunner().invoke(app, ["demo"])
    what = {"before": "nothing", "after": "base.safetensors"}[when]
    assert (result.exit_code, result.stderr) == (130, f"error: interrupted; {what} was written\n")
    assert Path("base.safetensors").exists() == (when == "after")


def test_a_set_that_is_taken_back_was_not_written(tmp_path, monkeypatch):
    from ckptedit.files.publish import NewFile

    monkeypatch.chdir(tmp_path)
    put(tmp_path / "a.safetensors")
    order = ["merge", "a.safetensors", "a.safetensors", "-o", "out.safetensors.index.json"]
    CliRunner().invoke(app, order)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real, calls = NewFile.publish, []

    def publish(self: NewFile, replace: bool) -> None:
        real(self, replace)
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(NewFile, "publish", publish)
    result = CliRunner().invoke(app, [*order, "--force"])
    assert result.stderr == "error: interrupted; nothing was written\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def complete(*words: str) -> list[str]:
    """What a shell offers for the last word, which may be empty."""
    env = os.environ | {
        "_CKPTEDIT_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["ckptedit", *words]),
        "COMP_CWORD": str(len(words)),
    }
    code = (
        "import sys; sys.argv = ['ckptedit']; from ckptedit.cli import app\n"
        "try: app(prog_name='ckptedit')\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_shell_completes_names_from_the_registries_without_torch():
    from ckptedit.erasure.options import METHODS as ERASING
    from ckptedit.guards import GUARDS
    from ckptedit.merging import METHODS as MERGING

    assert "merge" in complete("mer")
    assert complete("merge", "a", "--method", "") == list(MERGING)
    assert sorted(complete("erase", "a", "--method", "")) == sorted(ERASING)
    assert complete("erase", "a", "--guard", "") == [*GUARDS, "none"]
    assert complete("erase", "a", "--guard", "grad") == [n for n in GUARDS if n[:4] == "grad"]


def test_what_is_completed_is_accepted():
    from ckptedit.concepts.templates import KINDS
    from ckptedit.diffusion.device import PRECISIONS, resolve_device
    from ckptedit.families.own import PREDICTIONS
    from ckptedit.subspaces.span import POSITIONS
    from ckptedit.text.tokens import TOKENS

    assert sorted(complete("sample", "a", "--precision", "")) == sorted(PRECISIONS)
    assert sorted(complete("sample", "a", "--prediction", "")) == sorted(["auto", *PREDICTIONS])
    assert sorted(complete("erase", "a", "--kind", "")) == sorted(["auto", *KINDS])
    assert sorted(complete("erase", "a", "--tokens", "")) == sorted(TOKENS)
    assert sorted(complete("project", "a", "--tokens", "")) == sorted(POSITIONS)
    for device in complete("erase", "a", "--device", ""):
        try:
            resolve_device(device)
        except BadParam as error:
            assert "this machine has" in str(error)


def test_the_version_is_told_and_short_help_is_help():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert CliRunner().invoke(app, ["--version"]).stdout == f"ckptedit {version}\n"
    for line in ([], ["merge"], ["diff"]):
        short, long = (CliRunner().invoke(app, [*line, option]) for option in ("-h", "--help"))
        assert short.stdout == long.stdout and short.exit_code == 0
    assert "Exit status: 0 done" in CliRunner().invoke(app, ["-h"]).stdout


def test_an_interrupt_unwinds_once_a_command_runs():
    code = (
        "import signal, ckptedit.cli as cli\n"
        "cli.app = lambda: print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "from ckptedit.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert done.stdout == "True\n"


@pytest.mark.parametrize("command, edit", [("merge", "b"), ("apply", "d")])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT], ids=os.strerror)
def test_a_full_disk_is_found_before_any_work(tmp_path, monkeypatch, command, edit, number):
    """Before inputs are read for their digests; and nothing is left."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "a.safetensors")
    put(tmp_path / "b.safetensors", 1)
    CliRunner().invoke(app, ["diff", "a.safetensors", "b.safetensors", "-o", "d.safetensors"])
    before = sorted(tmp_path.iterdir())

    def full(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    def work(*arguments: object) -> None:
        raise AssertionError("it began to work")

    monkeypatch.setattr(os, "posix_fallocate", full)
    if command == "merge":
        monkeypatch.setattr(Checkpoint, "data_sha256", work)
    monkeypatch.setattr("ckptedit.files.writer.open_plan", work)
    size = (tmp_path / "a.safetensors").stat().st_size
    said = f"out: {os.strerror(number)} (the output takes {size} bytes)"
    order = [command, "a.safetensors", f"{edit}.safetensors", "-o", "out"]
    refused(CliRunner().invoke(app, order), said)
    assert sorted(tmp_path.iterdir()) == before
