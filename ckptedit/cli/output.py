"""How results reach stdout. Progress and warnings go to stderr, so that stdout can be piped."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from ckptedit.cli.company import speaks

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ckptedit.cli.progress import Progress

PIPE_WIDTH = 200  # columns of a table that no terminal cuts

SCHEMA_VERSION = 1


def as_json(report: dict[str, Any]) -> str:
    """One JSON object with `schema_version`. JSON has no nan or infinity, so they become null."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **_finite(report)}, indent=2)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def default_output(ckpt: str, operation: str) -> Path:
    """Where a command writes without -o: `<stem>.<operation>.safetensors` in the working folder.

    ckpt: the input, as the user named it: a file, an index, a folder, or `-`; of a diffusers folder
    the output is a folder too, and has no ending
    """
    from ckptedit.files.layout import FOLDER, find_layout

    name = "stdin" if ckpt == "-" else Path(os.path.realpath(ckpt)).name
    for ending in (".index.json", ".safetensors", ".pt", ".bin"):
        name = name.removesuffix(ending)
    ending = "" if find_layout(ckpt).kind == FOLDER else ".safetensors"
    return Path(f"{name}.{operation}{ending}")


def write_report(target: Path, content: bytes, *, force: bool) -> None:
    """Writes a small file whole: the old one or the new, never a part. A device is written to."""
    from ckptedit.files import check_output
    from ckptedit.files.permission import is_stream
    from ckptedit.files.sinks import new_files, open_stream

    check_output(target, force=force, report=True)
    if is_stream(target):
        with open_stream(target) as stream:
            stream.write(memoryview(content))
        return
    with new_files([(target, len(content))], replace=force) as (file,):
        file.write(memoryview(content))


def say(*lines: str, quiet: bool = False) -> None:
    """Lines for people, on stderr; none if quiet."""
    for line in () if quiet else lines:
        typer.echo(line, err=True)


def say_notes(lines: Iterable[str], quiet: bool) -> None:
    """What the user should hear of, on stderr; nothing if quiet."""
    say(*(f"note: {line}" for line in lines), quiet=quiet)


def print_tables(renderables: "Iterable[RenderableType]") -> None:
    """Prints rich tables and texts to stdout; without colours or padding where that is a pipe."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False).print(*renderables, sep="\n")
        return
    console = Console(width=PIPE_WIDTH, highlight=False, no_color=True)
    with console.capture() as capture:
        console.print(*renderables, sep="\n")
    typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_and_end(lines: Sequence[str], track: "Progress") -> NoReturn:
    """One in a line, or nothing; and that is all."""
    track.close()
    if lines and speaks():
        typer.echo("\n".join(lines))
    raise typer.Exit
