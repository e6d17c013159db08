"""The parts of an evaluation on the command line: which options go together, reading, writing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ckptedit.cli.output import write_report
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from ckptedit.evaluation.parts import Part


def check_usage(
    paths: Sequence[str], *, merge: bool, drawing: Mapping[str, Any], judged: Mapping[str, Any]
) -> None:
    """Raises BadParam for options without an effect, and for too many checkpoints.

    drawing: options of drawing, --shard among them, which --merge does not; judged: options of
    the figures, which a shard does not give; None where they were not given
    """
    for name in ("min_ua", "min_ra"):  # which click lets pass, and nothing is below
        if (limit := judged[name]) is not None and limit != limit:
            raise BadParam(f"--{name.replace('_', '-')} must be a number, 0..1, not nan")
    if not merge and len(paths) > 1:
        raise BadParam(
            f"one checkpoint at a time, not {len(paths)}; --merge puts parts together, --against "
            "compares two"
        )
    if merge:
        _refuse(drawing, "is of drawing, and --merge draws nothing; leave it out")
    if drawing["shard"] is not None:
        _refuse(judged, "is of the figures, which only all parts together give: with --merge")
    elif drawing["output"] is not None:
        raise BadParam("-o writes the part that --shard I/N names; figures go to stdout")


def _refuse(options: Mapping[str, Any], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise BadParam(f"--{name.replace('_', '-')} {why}")


def read_parts(paths: Sequence[str]) -> "list[Part]":
    from ckptedit.evaluation.parts import read_part

    return [read_part(path) for path in paths]


def write_part(part: "Part", output: Path | None, *, force: bool) -> None:
    """To the file, printing its path, or to stdout."""
    if output is None or str(output) == "-":
        typer.echo(part.as_json(), nl=False)
        return
    write_report(output, part.as_json().encode(), force=force)
    typer.echo(output)
