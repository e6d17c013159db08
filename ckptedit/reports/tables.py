"""What the tables of a page hold, in words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ckptedit.concepts.private import is_hidden
from ckptedit.continual.verify import REBOUND
from ckptedit.files import escape
from ckptedit.reports.charts import relative, shown
from ckptedit.reports.heat import Heat
from ckptedit.reports.lines import FIGURES, Figure, Met
from ckptedit.reports.story import Story
from ckptedit.reports.veil import Veil
from ckptedit.reports.verdict import came_back

NONE = "–"


class Tile(NamedTuple):
    name: str
    value: str
    more: str = ""
    bad: bool = False


def tiles(story: Story, heat: Heat | None) -> list[Tile]:
    """The figures that the page begins with."""
    newest = story.newest
    found = []
    if newest:
        for name in ("ua", "ra_i", "ra_c"):
            if figure := newest.scores.get(name):
                low_high = figure.interval and " to ".join(f"{x:.1%}" for x in figure.interval)
                found.append(Tile(FIGURES[name], f"{figure.value:.1%}", low_high or ""))
        if newest.verified:
            worst = max(row.residual for row in newest.verified)
            found.append(Tile("worst residual", f"{worst:.2f}"))
            back = len(came_back(newest))
            found.append(Tile("came back", str(back), bad=back > 0))
        if newest.drift is not None:
            found.append(Tile("drift", f"{newest.drift:.3f}", "of what was edited"))
        met = [line for line in story.lines if line.output]
        seconds = sum(line.seconds for line in met)
        found.append(Tile("requests met", str(len(met)), f"{seconds:.0f} s in all"))
    elif heat and heat.total:
        found.append(Tile("drift", relative(heat.total[max(heat.total)]), "of all weights"))
        found.append(Tile("erased", str(len(story.erased)), "by the ledger"))
    return found


def requests(story: Story, veil: Veil) -> list[dict[str, Any]]:
    """A row for each request, not the base."""
    return [
        {
            "number": line.number,
            "asked": _asked(line, veil),
            "how": " ".join([line.strategy, line.method, *(f"+ {name}" for name in line.guards)]),
            "seconds": f"{line.seconds:.1f}",
            "drift": NONE if line.drift is None else f"{line.drift:.3f}",
            "residual": _worst(row.residual for row in line.verified),
            "rebound": _worst(row.rebound for row in line.verified),
            "bad": line.output is None or bool(came_back(line)),
            "warnings": _warnings(line, veil),
        }
        for line in story.lines
        if line.number
    ]


def _asked(line: Met, veil: Veil) -> str:
    said = [veil.all(line.asked)] if line.asked else []
    said += [f"withdrawn: {veil.all(line.withdrawn)}"] if line.withdrawn else []
    if line.budget in ("stopped", "retried"):
        said.append(f"{line.budget} by the drift budget")
    return "; ".join(said)


def _warnings(line: Met, veil: Veil) -> list[str]:
    if veil.hidden and line.warnings:
        return [f"{len(line.warnings)} warnings, which may name what is hidden"]
    return list(line.warnings)


def _worst(values: Iterable[float]) -> str:
    return max((f"{round(value, 2) + 0.0:.2f}" for value in values), key=float, default=NONE)


def verified(story: Story, veil: Veil) -> list[dict[str, Any]]:
    """A row for each target after the newest request, worst first."""
    rows = story.newest.verified if story.newest else ()
    before, now = seen(story)
    return [
        {
            "concept": veil(row.concept),
            "request": row.request,
            "residual": f"{row.residual:.2f}",
            "rebound": f"{round(row.rebound, 2) + 0.0:+.2f}",
            "bad": row.rebound > REBOUND,
            "before": _share(before.get(row.concept)),
            "now": _share(now.get(row.concept)),
        }
        for row in sorted(rows, key=lambda row: (-row.rebound, -row.residual))
    ]


def seen(story: Story) -> tuple[dict[str, float], dict[str, float]]:
    """Concept -> share of pictures in which the judge sees it: of the base, and of the newest."""
    base = next((line.accuracy for line in story.lines if line.number == 0), {})
    newest = story.newest.accuracy if story.newest else {}
    return _shares(base), _shares(newest)


def _shares(accuracy: Mapping[str, tuple[str, float]]) -> dict[str, float]:
    return {name: share for name, (_, share) in accuracy.items()}


def retained(story: Story, veil: Veil) -> list[dict[str, Any]]:
    """A row for each retained concept; none where names are hidden, which those left would tell."""
    if veil.hidden or not story.newest:
        return []
    before, now = seen(story)
    roles = {name: role for name, (role, _) in story.newest.accuracy.items() if role != "erased"}
    order = sorted(roles, key=lambda name: (now[name] - before.get(name, now[name]), now[name]))
    return [
        {
            "concept": name,
            "role": roles[name],
            "before": _share(before.get(name)),
            "now": _share(now[name]),
        }
        for name in order
    ]


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.0%}"


def heat_rows(heat: Heat) -> list[dict[str, Any]]:
    """A row for each block and role."""
    return [
        {
            "block": block,
            "role": role,
            "cells": [_cell(heat.cells.get((block, role, number))) for number in heat.requests],
        }
        for block in heat.blocks
        for role in heat.roles
        if any((block, role, number) in heat.cells for number in heat.requests)
    ]


def _cell(value: float | None) -> str:
    return NONE if value is None else relative(value)


def figures(values: Mapping[str, Mapping[int, Figure]], shares: Sequence[str]) -> dict[str, Any]:
    """All curves as one table. shares: the names of those in percent"""
    every = sorted({number for row in values.values() for number in row})
    rows = []
    for number in every:
        cells = [
            shown(row[number], name in shares) if number in row else NONE
            for name, row in values.items()
        ]
        rows.append({"request": str(number) if number else "base", "cells": cells})
    return {"names": list(values), "rows": rows}


def ledger(story: Story) -> list[dict[str, str]]:
    """The entries, each as its JSON beside a few words."""
    return [
        {
            "operation": escape(entry.get("operation", "?")),
            "concepts": _concepts(entry.get("concepts", [])),
            "tool": escape(entry.get("tool", "")),
            "json": json.dumps(entry, indent=2, ensure_ascii=True),
        }
        for entry in story.ledger
    ]


def _concepts(names: Sequence[str]) -> str:
    hashes = sum(map(is_hidden, names))
    told = [escape(name) for name in names if not is_hidden(name)]
    return ", ".join([*told, *([f"{hashes} private concepts"] if hashes else [])])
