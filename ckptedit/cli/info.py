"""`ckptedit info`: what a checkpoint is, and whether it is healthy."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ckptedit.cli.options import Ckpt, Json, Quiet, Strings
from ckptedit.cli.output import as_json, print_tables
from ckptedit.cli.progress import progress

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from ckptedit.families.info import Info, Tally
    from ckptedit.files.history import Line

MOST_PARTS = 12  # rows of the table of components


def info(
    ckpt: Ckpt,
    json: Json = False,
    every: Annotated[bool, Option("--all", help="List every tensor.")] = False,
    quick: Annotated[
        bool, Option("--quick", help="Read headers only: no health, no hashes.")
    ] = False,
    concept: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="Say whether the ledger tells of it, hidden or not; repeatable; default: none.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show what a checkpoint is, and whether it is healthy.

    Family, layout, tensors, dtypes, ledger of edits, NaN and Inf, hashes.
    Exits with 1 if there is a NaN, an Inf or a malformed bool in it.

    Example: ckptedit info base.safetensors
    """
    from ckptedit.families.info import info as describe
    from ckptedit.files import escape

    with progress(quiet) as track:
        report = describe(ckpt, quick=quick, track=track)
    if json:
        typer.echo(as_json(report.as_dict(every) | asked(report, concept)))
    else:
        print_tables(tables(report, every))
        for name, told in asked(report, concept).get("concepts", {}).items():
            typer.echo(f"{escape(name)}: {'erased' if told else 'not erased'}, by the ledger")
    if report.healthy is False:
        raise typer.Exit(1)


def asked(report: "Info", concepts: Strings) -> dict[str, dict[str, bool]]:
    """Of each concept that was asked for, whether the ledger tells that it is erased."""
    if not concepts:
        return {}
    from ckptedit.concepts.lists import listed
    from ckptedit.concepts.private import tells_of

    return {"concepts": {name: tells_of(report.ledger, name) for name in listed(concepts)}}


def tables(report: "Info", every: bool) -> Iterable["RenderableType"]:
    from rich.text import Text

    from ckptedit.files import escape
    from ckptedit.files.history import trunk

    yield facts(report)
    yield part_table(report.parts)
    if report.ledger:
        yield Text("ledger, oldest first", style="bold")
        yield ledger_table(trunk(report.ledger))
    if report.health and report.health.unhealthy:
        bad = report.health.unhealthy
        rows = [(escape(t.name), str(t.nan), str(t.inf), str(t.bools)) for t in bad]
        yield grid(("unhealthy tensor", "NaN", "Inf", "bad bools"), rows)
    if every:
        rows = [(escape(t.name), t.dtype, shape(t.shape), size(t.nbytes)) for t in report.tensors]
        yield grid(("tensor", "dtype", "shape", "size"), rows)


def facts(report: "Info") -> "Table":
    """The first block: one line per fact."""
    from rich.table import Table

    from ckptedit.files import escape

    total, health = report.total, report.health
    dtypes = ", ".join(f"{part.name} {share(part, total)}" for part in report.dtypes)
    files = f", {report.files} files" if report.files > 1 else ""
    rows = {
        "checkpoint": "<stdin>" if report.path == "-" else escape(report.path),
        "family": report.family + (f" ({report.reason})" if report.reason else ""),
        "layout": report.layout + files,
        "tensors": f"{total.tensors:,}, {total.parameters:,} parameters, {size(total.bytes)}",
        "dtypes": dtypes or "none",
        "health": verdict(report),
    }
    if report.quantised:
        rows["quantised"] = f"{report.quantised}: its numbers are codes, which no command edits"
    if health:
        rows["sha256"] = f"{health.sha256} (tensor data)"
        if health.file_sha256:
            rows["file sha256"] = health.file_sha256
    table = Table.grid(padding=(0, 2))
    for key, value in [*rows.items(), *(("note", note) for note in report.notes)]:
        table.add_row(plain(key, "bold"), plain(value))
    return table


def verdict(report: "Info") -> str:
    if report.health is None:
        return "not examined (--quick)"
    bad = report.health.unhealthy
    if not bad:
        return "good: no NaN, no Inf"
    nan, inf = sum(t.nan for t in bad), sum(t.inf for t in bad)
    bools = sum(t.bools for t in bad)
    more = f", {bools} malformed bools" if bools else ""
    return f"bad: {nan:,} NaN and {inf:,} Inf{more} in {len(bad)} tensors"


def part_table(parts: "tuple[Tally, ...]") -> "Table":
    from ckptedit.files import escape

    rows = [
        (escape(p.name), f"{p.tensors:,}", f"{p.parameters:,}", size(p.bytes))
        for p in parts[:MOST_PARTS]
    ]
    if len(parts) > MOST_PARTS:
        rows.append((f"and {len(parts) - MOST_PARTS} more", "", "", ""))
    return grid(("component", "tensors", "parameters", "size"), rows)


def ledger_table(ledger: "Iterable[Line]") -> "Table":
    from ckptedit.files import escape
    from ckptedit.files.card import subject

    rows = []
    for number, line in enumerate(ledger, start=1):
        concepts = line.get("concepts")
        about = subject([str(name) for name in concepts]) if isinstance(concepts, list) else ""
        facts = [about, line.get("tool", ""), str(line.get("parent_sha256", ""))[:12]]
        rows.append((str(number), *map(escape, [line.get("operation", "?"), *facts])))
    return grid(("", "operation", "concepts", "tool", "parent"), rows)


def grid(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> "Table":
    """A table without markup: names come from strangers. Columns of numbers are flush right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in header:
        numbers = title in ("tensors", "parameters", "size", "NaN", "Inf", "bad bools")
        table.add_column(title, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    return table


def plain(text: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(text, style)


def size(count: int) -> str:
    """Bytes in decimal units, as disks and downloads are sold."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def shape(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes)) or "scalar"


def share(part: "Tally", total: "Tally") -> str:
    return f"{part.bytes / max(1, total.bytes):.1%} ({part.tensors:,})"
