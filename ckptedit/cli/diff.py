"""`ckptedit diff`: what an edit changed, and whether that is allowed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ckptedit.cli.diff_delta import DeltaFile
from ckptedit.cli.diff_files import ReportFiles
from ckptedit.cli.diff_tables import lines
from ckptedit.cli.options import (
    AllowDownload,
    ClipSkip,
    Exact,
    Force,
    Json,
    Keys,
    Quiet,
    Strings,
    Threads,
    Tokenizer,
)
from ckptedit.cli.output import as_json
from ckptedit.cli.progress import progress
from ckptedit.cli.words import as_fact, words_of

if TYPE_CHECKING:
    from ckptedit.drift import Drift


def diff(
    old: Annotated[str, Argument(metavar="OLD", help="Checkpoint before the edit; - is stdin.")],
    new: Annotated[
        str, Argument(metavar="NEW", help="Checkpoint after it, or a delta; - is stdin.")
    ],
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
    along: Annotated[
        str | None,
        Option(metavar="PATH", help="A subspace: what drifts in it and outside; default: none."),
    ] = None,
    words: Annotated[
        int | None,
        Option(
            metavar="N", min=1, help="List N words whose keys and values moved most; default: none."
        ),
    ] = None,
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
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
    exact: Exact = False,
    force: Force = False,
    threads: Threads = 2,
    quiet: Quiet = False,
) -> None:
    """Show what an edit changed, and hold it against limits.

    NEW may be a delta file: then it is OLD with that delta.

    Exit status: 0 if the checkpoints are the same, or within the limits
    given, or if -o wrote what differs; 1 if they differ, exceed a limit, or
    hold NaN or Inf; 2 if one cannot be read. With -q that is all the answer,
    unless --json asks for more. In a GLOB `*` stays within a segment of a
    name, `**` crosses the dots.

    Example: ckptedit diff base.safetensors edited.safetensors --allow '**.attn2.**'
    """
    from ckptedit.drift import diff as run
    from ckptedit.drift.run import both_opened, together

    held = together(
        rules, {"relative": max_rel, "l2": max_l2, "linf": max_abs}, baseline=baseline,
        limits=limit or (), keys=keys or (), allow=allow or (), ignore=ignore or (),
    )  # fmt: skip
    delta = DeltaFile(output, exact, held.keys, held.ignore, force, quiet)
    delta.check(json=json)
    files = ReportFiles(markdown, junit, plot, force)
    files.check(output)
    with both_opened(old, new) as (before, after):
        delta.check_target(before, after)
        files.check_inputs(before, after)
        known = None
        if words:
            known = words_of(before, tokenizer, download=allow_download, quiet=quiet)
        with progress(quiet) as track:
            drift = run(
                before, after, rules=held, spectral=spectral, along=along, words=words or 0,
                tokenizer=known, clip_skip=clip_skip, threads=threads, track=track,
            )  # fmt: skip
        files.write(drift)
        with delta.written(before, after) as made:
            if json:
                figures = made.as_dict() if made else None
                report = {**drift.as_dict(), "delta": figures, "tokenizer": as_fact(known)}
                typer.echo(as_json(report))
            elif not quiet:
                show(drift, None if every else top, err=output is not None)
        if made and not json and output != "-":
            typer.echo(made.path)
    raise typer.Exit(delta.status(drift.judgement))


def show(drift: "Drift", top: int | None, *, err: bool) -> None:
    """Prints the tables; on stderr where stdout is for the path of what -o wrote."""
    color = None if "NO_COLOR" not in os.environ else False  # None: if stdout is a terminal
    shown = lines(drift, top=top)
    typer.echo("\n".join(shown), color=color, err=err)
