"""Whatever goes wrong is one line and a status, also what nobody thought of."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from refusal import refused
from typer.testing import CliRunner

from ckptedit.cli import app, trouble
from ckptedit.families import info as reader

CUDA = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
OTHER_CPU = RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")


def fail(monkeypatch: pytest.MonkeyPatch, error: BaseException, *before: str):
    """What `info` says if this is raised in the middle of it."""

    def planted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(reader, "info", planted)
    return CliRunner().invoke(app, [*before, "info", "x"])


@pytest.mark.parametrize(
    "error",
    [
        TypeError("unhashable type: 'list'"), OverflowError("int too large"), KeyError("a"),
        RecursionError("maximum recursion depth exceeded"), AssertionError(), Exception("bare"),
        RuntimeError("shape"), ValueError("two\nlines"), ImportError("no such"),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_bug_is_one_line_that_says_so_and_where(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    done = fail(monkeypatch, error)
    refused(done, f"a bug in ckptedit, {type(error).__name__}", "test_cli_trouble.py:", "--debug")


def test_debug_shows_the_traceback_of_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    done = fail(monkeypatch, TypeError("odd"), "--debug")
    assert done.exit_code == 2 and "Traceback" in done.stderr and ", in planted" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: a bug in ckptedit, TypeError: odd")


@pytest.mark.parametrize("error", [MemoryError(), CUDA, CPU, OTHER_CPU], ids=repr)
def test_too_little_memory_is_no_bug(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    done = fail(monkeypatch, error)
    refused(done, "error: out of memory")
    assert "bug" not in done.stderr and "--batch" not in done.stderr  # info has none


def test_a_command_with_a_batch_names_it() -> None:
    def said(error: BaseException) -> str:
        return trouble.told(error, ["--batch", "--device"])[0]

    assert said(CUDA) == "out of memory on the GPU; try a smaller --batch or --device cpu"
    assert said(CPU) == said(MemoryError()) == "out of memory; try a smaller --batch"


def test_the_options_are_those_of_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ckptedit.erasure import checks

    def planted(*_: object, **__: object) -> None:
        raise CUDA

    monkeypatch.setattr(checks, "look_over", planted)
    assert CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "base")]).exit_code == 0
    done = CliRunner().invoke(app, ["erase", str(tmp_path / "base"), "--concept", "Neon"])
    refused(done, "a smaller --batch or --device cpu")


def test_the_systems_errors_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(fail(monkeypatch, OSError(errno.EIO, "Input/output error", "a\nb")), r"a\nb: Input/")
    refused(fail(monkeypatch, OSError(errno.EIO, "Input/output error")), "error: Input/output")


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(fail(monkeypatch, KeyboardInterrupt()), "interrupted", status=130)


def python(code: str) -> subprocess.CompletedProcess[str]:
    def listen() -> None:  # a test run in the background is started with interrupts ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=listen
    )


@pytest.mark.parametrize("module", ["ckptedit.cli", "typer", "ckptedit.cli.streams"])
def test_an_interrupt_during_imports_is_one_line(module: str) -> None:
    done = python(f"""
import os, signal, sys
class Pressed:
    def find_spec(self, name, *_):
        if name == {module!r}:
            try: os.kill(os.getpid(), signal.SIGINT)
            except BaseException: pass  # as some libraries do
sys.meta_path.insert(0, Pressed())
sys.argv = ["ckptedit", "info", "/nowhere"]
from ckptedit.__main__ import main
main()
""")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "error: interrupted; nothing was written\n"


def test_an_interrupt_while_arguments_are_read_has_its_status() -> None:
    done = python("""
import sys, ckptedit.cli as cli
def pressed(*_, **__): raise KeyboardInterrupt
cli.ErrorsToExit.parse_args = pressed
cli.main()
""")
    assert done.returncode == 130 and "Traceback" not in done.stderr


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_outside_of_any_command_is_no_difference(debug: bool) -> None:
    code = "import sys, ckptedit.cli as cli; cli.app = lambda: 1 / 0; "
    done = python(code + f"sys.argv += ['--debug'] * {debug}; cli.main()")
    assert done.returncode == 2 and "a bug in ckptedit, ZeroDivisionError" in done.stderr
    assert ("Traceback" in done.stderr) == debug
