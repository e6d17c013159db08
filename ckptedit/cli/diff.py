"""`ckptedit diff`: what an edit changed, and whether that is allowed."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ckptedit.cli.diff_delta import DeltaFile
from ckptedit.cli.diff_files import ReportFiles
from ckptedit.cli.diff_tables import lines
from ckptedit.cli.options import Force, Json, Keys, Quiet, Strings, Threads
from ckptedit.cli.output import as_json, tracker

if TYPE_CHECKING:
    from ckptedit.drift import Judgement, Report, Rules


def diff(
    old: Annotated[str, Argument(metavar="OLD", help="Checkpoint before the edit; - is stdin.")],
    new: Annotated[str, Argument(metavar="NEW", help="Checkpoint after it; - is stdin.")],
    keys: Keys = None,
    max_rel: Annotated[
        float | None,
        Option(metavar="X", help="Limit on the relative L2 of all tensors; default: none."),
    ] = None,
    max_l2: Annotated[
        float | None, Option(metavar="X", help="Limit on the L2 of all tensors; default: none.")
    ] = None,
    max_abs: Annotated[
        float | None, Option(metavar="X", help="Limit on the change of any value; default: none.")
    ] = None,
    limit: Annotated[
        Strings,
        Option(metavar="GLOB=X", help="Limit on the relative L2 of each of these; default: none."),
    ] = None,
    allow: Annotated[
        Strings,
        Option(metavar="GLOB", help="Only these may change, by any bit; default: all."),
    ] = None,
    ignore: Annotated[
        Strings,
        Option(metavar="KIND", help="Accept added, removed, reshaped or retyped; default: none."),
    ] = None,
    rules: Annotated[
        Path | None, Option(metavar="PATH", help="TOML file of limits; default: none.")
    ] = None,
    baseline: Annotated[
        Path | None,
        Option(metavar="PATH", help="Earlier --json: no drift 1 % farther; default: none."),
    ] = None,
    spectral: Annotated[
        bool, Option("--spectral", help="Ranks of the changes; is it one right-factored edit?")
    ] = False,
    top: Annotated[
        int, Option(metavar="N", min=0, help="List so many of the tensors that moved.")
    ] = 10,
    every: Annotated[bool, Option("--all", help="List all that moved.")] = False,
    json: Json = False,
    markdown: Annotated[
        Path | None,
        Option(metavar="PATH", help="Write a report that fits a comment; default: none."),
    ] = None,
    junit: Annotated[
        Path | None, Option(metavar="PATH", help="Write the verdicts as JUnit XML; default: none.")
    ] = None,
    plot: Annotated[
        Path | None,
        Option(metavar="PATH", help="Write a heat map and a histogram, PNG; default: none."),
    ] = None,
    output: Annotated[
        str | None,
        Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write the delta from OLD to NEW and print its path; - is stdout; default: none.",
        ),
    ] = None,
    exact: Annotated[
        bool, Option("--exact", help="-o: restores every bit, by larger forms where needed.")
    ] = False,
    force: Force = False,
    threads: Threads = 2,
    quiet: Quiet = False,
) -> None:
    """Show what an edit changed, and hold it against limits.

    Exit status: 0 if the checkpoints are the same, or within the limits
    given, or if -o wrote what differs; 1 if they differ, exceed a limit, or
    hold NaN or Inf; 2 if one cannot be read. In a GLOB `*` stays within a
    segment of a name, `**` crosses the dots.

    Example: ckptedit diff base.safetensors edited.safetensors --allow '**.attn2.**'
    """
    from ckptedit.drift import diff as run
    from ckptedit.drift import opened

    limits = {"relative": max_rel, "l2": max_l2, "linf": max_abs}
    given = resolve(
        rules, limits, baseline, limit=limit or (),
        keys=keys or (), allow=allow or (), ignore=ignore or (),
    )  # fmt: skip
    delta = DeltaFile(output, exact, given.keys, given.ignore, force, quiet)
    delta.check(json=json)
    files = ReportFiles(markdown, junit, plot, force)
    files.check(output)
    with opened(old, new) as (before, after):
        delta.check_target(before, after)
        files.check_inputs(before, after)
        report, judgement = run(
            before, after, rules=given, spectral=spectral, threads=threads, track=tracker(quiet)
        )
        files.write(report, judgement)
        with delta.written(before, after) as made:
            if json:
                figures = made.as_dict() if made else None
                typer.echo(as_json({**as_report(report, judgement), "delta": figures}))
            elif output is None:
                show(report, judgement, None if every else top)
            elif not quiet:
                show(report, judgement, None if every else top, err=True)
        if made and not json and output != "-":
            typer.echo(made.path)
    raise typer.Exit(delta.status(judgement))


def resolve(
    file: Path | None, limits: dict[str, float | None], baseline: Path | None, *,
    limit: Sequence[str], **patterns: Sequence[str],
) -> "Rules":  # fmt: skip
    """The rules of the file, and beside them those of the options.

    limits: of all tensors, by measure; limit: of some tensors, as GLOB=VALUE
    patterns: keys, allow and ignore, which are added to those of the file
    """
    from ckptedit.drift.gates import Rules
    from ckptedit.drift.rulefile import load_baseline, load_rules, parse_limit

    rules = load_rules(file) if file else Rules()
    total = {measure: value for measure, value in limits.items() if value is not None}
    return replace(
        rules,
        total={**rules.total, **total},
        limits=[*rules.limits, *map(parse_limit, limit)],
        baseline=load_baseline(baseline) if baseline else None,
        keys=[*rules.keys, *patterns["keys"]],
        allow=[*rules.allow, *patterns["allow"]],
        ignore=[*rules.ignore, *patterns["ignore"]],
    )


def show(report: "Report", judgement: "Judgement", top: int | None, *, err: bool = False) -> None:
    """Prints the tables; on stderr where stdout is for the path of what -o wrote."""
    color = None if "NO_COLOR" not in os.environ else False  # None: if stdout is a terminal
    typer.echo("\n".join(lines(report, judgement, top=top)), color=color, err=err)


def as_report(report: "Report", judgement: "Judgement") -> dict[str, Any]:
    gates = [asdict(verdict) for verdict in judgement.verdicts]
    return {**report.as_dict(), "verdict": judgement.word, "gates": gates}
