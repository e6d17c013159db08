"""`ckptedit erase --list-methods`: every method and guard, with its parameters."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from ckptedit.cli.output import as_json

if TYPE_CHECKING:
    from ckptedit.erasure.listing import Entry

ARGUMENTS = "ckptedit.arguments"  # of the command, where an eager option finds them


def list_methods(context: typer.Context, asked: bool) -> None:
    """Prints them and ends the command, whatever else was given; as JSON with --json."""
    if not asked:
        return
    from ckptedit.erasure.listing import SORTS, entries

    found = list(entries())
    if "--json" in context.meta[ARGUMENTS]:
        typer.echo(as_json({"methods": [as_record(entry) for entry in found]}))
        raise typer.Exit
    for sort in SORTS:
        typer.echo(f"{sort}s\n")
        for entry in found:
            if entry.sort == sort:
                typer.echo("\n".join(lines(entry)) + "\n")
    raise typer.Exit


def lines(entry: "Entry") -> list[str]:
    """What it does, what it edits, and each parameter with default, range and meaning."""
    edits = f"  [{', '.join(entry.roles)}]" if entry.roles else ""
    found = [f"  {entry.name}{edits}  {entry.summary}"]
    for each in entry.parameters:
        ranged = f", {each.choices}" if each.choices else ""
        found.append(f"      -p {each.name}={written(each.default)}{ranged}: {each.meaning}")
    return found


def as_record(entry: "Entry") -> dict[str, Any]:
    """One entry under stable names."""
    parameters = [asdict(each) for each in entry.parameters]
    return {
        "name": entry.name,
        "sort": entry.sort,
        "summary": entry.summary,
        "params": list(entry.roles),
        "parameters": parameters,
    }


def written(default: Any) -> str:
    """As a user would write it after the equals sign."""
    if isinstance(default, bool):
        return str(default).lower()
    return (
        "none"
        if default is None
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )
