"""`ckptedit diff`: what an edit changed, and whether that is allowed."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ckptedit.cli.diff_tables import lines
from ckptedit.cli.output import as_json, tracker, write_report

if TYPE_CHECKING:
    from ckptedit.diff import Judgement, Report, Rules

Strings = list[str] | None
Option, Argument = typer.Option, typer.Argument


def diff(
    old: Annotated[str, Argument(help="Checkpoint before the edit; - for stdin.")],
    new: Annotated[str, Argument(help="Checkpoint after it; - for stdin.")],
    keys: Annotated[
        Strings, Option(metavar="GLOB", help="Compare only these tensors; !GLOB takes away.")
    ] = None,
    max_rel: Annotated[
        float | None, Option(help="Limit on the relative L2 of all tensors together.")
    ] = None,
    max_l2: Annotated[float | None, Option(help="Limit on the L2 of all tensors.")] = None,
    max_abs: Annotated[float | None, Option(help="Limit on the change of any value.")] = None,
    limit: Annotated[
        Strings, Option(metavar="GLOB=VALUE", help="Limit on the relative L2 of each such tensor.")
    ] = None,
    allow: Annotated[
        Strings, Option(metavar="GLOB", help="Only these may change; all others not by a bit.")
    ] = None,
    ignore: Annotated[
        Strings, Option(metavar="KIND", help="Accept added, removed, reshaped or retyped.")
    ] = None,
    rules: Annotated[Path | None, Option(help="TOML file of limits.")] = None,
    baseline: Annotated[
        Path | None, Option(help="Earlier report (--json): nothing may drift 1 % farther.")
    ] = None,
    spectral: Annotated[
        bool, Option("--spectral", help="Ranks of the changes; is it one right-factored edit?")
    ] = False,
    top: Annotated[int, Option(min=0, help="List so many of the tensors that moved.")] = 10,
    every: Annotated[bool, Option("--all", help="List all that moved.")] = False,
    json: Annotated[bool, Option("--json", help="Print the report as JSON.")] = False,
    markdown: Annotated[Path | None, Option(help="Write a report that fits a comment.")] = None,
    junit: Annotated[Path | None, Option(help="Write the verdicts as JUnit XML.")] = None,
    plot: Annotated[Path | None, Option(help="Write a heat map and a histogram, PNG.")] = None,
    force: Annotated[bool, Option("--force", help="Replace these files if they exist.")] = False,
    threads: Annotated[int, Option("--threads", "-j", help="The result is the same.")] = 2,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Show what an edit changed, and hold it against limits.

    Exit status: 0 if the checkpoints are the same, or within the limits
    given; 1 if they differ, exceed a limit, or hold NaN or Inf; 2 if one
    cannot be read. In a GLOB `*` stays within a segment of a name, `**`
    crosses the dots.

    Example: ckptedit diff base.safetensors edited.safetensors --allow '**.attn2.**'
    """
    from ckptedit.diff import judge

    limits = {"relative": max_rel, "l2": max_l2, "linf": max_abs}
    given = resolve(
        rules, limits, limit=limit or (), allow=allow or (), ignore=ignore or (),
        baseline=baseline,
    )  # fmt: skip
    files = {"markdown": markdown, "junit": junit, "plot": plot}
    check_files(files, force)
    report = measure(
        old, new, given, keys=keys or (), spectral=spectral, threads=threads, quiet=quiet
    )  # fmt: skip
    judgement = judge(report, given)
    write_files(report, judgement, files, force)
    if json:
        typer.echo(as_json(as_report(report, judgement)))
    else:
        show(report, judgement, None if every else top)
    raise typer.Exit(0 if judgement.passed else 1)


def resolve(
    file: Path | None, limits: dict[str, float | None], *, limit: Sequence[str],
    allow: Sequence[str], ignore: Sequence[str], baseline: Path | None,
) -> "Rules":  # fmt: skip
    """The rules of the file, and those of the options beside or in place of them."""
    from ckptedit.diff.gates import Rules
    from ckptedit.diff.rulefile import load_baseline, load_rules, parse_limit

    rules = load_rules(file) if file else Rules()
    total = {measure: value for measure, value in limits.items() if value is not None}
    return replace(
        rules,
        total={**rules.total, **total},
        limits=[*rules.limits, *map(parse_limit, limit)],
        allow=[*rules.allow, *allow],
        ignore=[*rules.ignore, *ignore],
        baseline=load_baseline(baseline) if baseline else None,
    )


def measure(
    old: str, new: str, rules: "Rules", *, keys: Sequence[str], spectral: bool, threads: int,
    quiet: bool,
) -> "Report":  # fmt: skip
    from ckptedit.diff import compare, compared, require_matches
    from ckptedit.errors import BadParam
    from ckptedit.files import Checkpoint

    if old == new == "-":
        raise BadParam("only one of the two checkpoints can be read from stdin")
    track = tracker(quiet)
    with Checkpoint(old) as before, Checkpoint(new) as after:
        require_matches(rules, compared(before, after, keys))
        report = compare(before, after, keys=keys, threads=threads, track=track)
        if not spectral:
            return report
        from ckptedit.diff.spectra import with_spectra

        return with_spectra(report, before, after, track=track)


def check_files(files: dict[str, Path | None], force: bool) -> None:
    from ckptedit.files import check_output

    for path in filter(None, files.values()):
        check_output(path, force=force, in_place=False)


def write_files(
    report: "Report", judgement: "Judgement", files: dict[str, Path | None], force: bool
) -> None:
    """Writes the reports that were asked for."""
    if path := files["markdown"]:
        from ckptedit.diff.markdown import as_markdown

        write_report(path, as_markdown(report, judgement).encode(), force=force)
    if path := files["junit"]:
        from ckptedit.diff.junit import as_junit

        write_report(path, as_junit(report, judgement).encode(), force=force)
    if path := files["plot"]:
        from ckptedit.diff.plot import as_png

        write_report(path, as_png(report), force=force)


def show(report: "Report", judgement: "Judgement", top: int | None) -> None:
    color = None if "NO_COLOR" not in os.environ else False  # None: if stdout is a terminal
    typer.echo("\n".join(lines(report, judgement, top=top)), color=color)


def as_report(report: "Report", judgement: "Judgement") -> dict[str, Any]:
    gates = [asdict(verdict) for verdict in judgement.verdicts]
    return {**report.as_dict(), "verdict": judgement.word, "gates": gates}
