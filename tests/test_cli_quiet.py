"""-q means the same in every command: nothing on stderr but an error."""

from pathlib import Path

import pytest
import typer
from refusal import refused
from typer.testing import CliRunner, Result

from ckptedit.cli import COMMANDS, app, display

LINES = {  # a small run of each command, in the folder of `files`; the output is out
    "demo": "-o out",
    "info": "base",
    "sample": "base cat --seeds 1 --steps 1 -o out",
    "project": "base --concept Cat --neighbors 1",
    "erase": "base --concept Cat --method uce --neighbors 1 -o out",
    "continual": "base requests --method uce --neighbors 1 -o run",
    "plan": "base requests -o run",
    "diff": "base edited -o out",
    "eval": "base --erased Neon --retain Monet --companions 1 --steps 1",
    "audit": "edited --original base",
    "merge": "base edited -m linear -o out",
    "apply": "base delta -o out",
    "import": "lora base -o out",
    "export": "delta --rank 1 -o out",
    "verify": "edited --parent base",
    "report": "edited --against base --no-pictures -o out",
}


def run(command: str, *more: str) -> Result:
    return CliRunner().invoke(app, [command, *LINES[command].split(), *more])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, an edit of it and the delta between them; a list of requests."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "requests").write_text("Neon\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in (
            "demo -o base",
            "erase base --concept Neon --method uce --neighbors 1 -o edited",
            "diff base edited -o delta",
            "export delta --rank 1 -o lora",
        ):
            assert CliRunner().invoke(app, line.split()).exit_code == 0, line
    return folder


@pytest.fixture
def talkative(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every item of progress makes a line, since CliRunner's stderr is no terminal."""
    monkeypatch.setattr(display, "EVERY", 0.0)
    for name in ("base", "edited", "delta", "lora", "requests"):
        (tmp_path / name).symlink_to(files / name)
    monkeypatch.chdir(tmp_path)


def test_every_command_has_the_option_and_a_line_here() -> None:
    assert set(LINES) == set(COMMANDS)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        options = {option for param in command.params for option in param.opts}
        assert {"--quiet", "-q"} <= options, name


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_on_stderr_if_quiet_and_the_result_is_the_same(
    talkative: None, command: str
) -> None:
    quiet = run(command, "-q")
    assert quiet.exit_code in (0, 1) and quiet.stderr == ""
    Path("out").unlink(missing_ok=True)
    loud = run(command)
    assert loud.stdout == quiet.stdout and loud.exit_code == quiet.exit_code
    assert loud.stderr or command == "demo"  # which has nothing to say


@pytest.mark.parametrize("command", COMMANDS)
def test_errors_are_shown_all_the_same(talkative: None, command: str) -> None:
    Path("out").mkdir()
    refused(run(command, "-q", "--nonsense"), "--nonsense")
    if "out" in LINES[command]:
        refused(run(command, "-q"), "out")
