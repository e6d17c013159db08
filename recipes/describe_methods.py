"""Makes the page of methods: figures from recipes/methods-figures.json, the rest from docstrings.

python recipes/describe_methods.py > docs/methods.md  (a test fails when the page is not current)
python recipes/describe_methods.py --figures ROWS     takes over what methods_table.py measured
python recipes/describe_methods.py --table ROWS       prints that as one table
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ckptedit.cli.erase_methods import written
from ckptedit.erasure.listing import SORTS, Entry, entries
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.options import METHODS

FIGURES = Path(__file__).parent / "methods-figures.json"
INTRODUCTION = Path(__file__).parent / "methods-introduction.md"
COLUMNS = ("ua", "shown", "unseen", "ra_c", "drift", "leak", "seconds")
HEAD = ("method", "guard", "UA", "RA-I shown", "unseen", "RA-C", "drift", "leak", "seconds",
        "pictures", "seeds")  # fmt: skip
TITLES = {
    "objective": "Objectives: what a training asks of the model",
    "closed form": "Closed forms: seconds, and no UNet",
    "guard": "Guards: what an edit may move",
}


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION.read_text().rstrip()]
    rows = json.loads(FIGURES.read_text()) if FIGURES.exists() else []
    for kind in ("style", "object"):
        parts += [f"### Two {kind}s", "\n".join(table([r for r in rows if r["kind"] == kind]))]
    found = list(entries())
    for sort in SORTS:
        parts.append(f"## {TITLES[sort]}")
        parts += [section(entry) for entry in found if entry.sort == sort]
    return "\n\n".join(parts) + "\n"


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each method and guard; pictures is how many UA counts, of so many seeds."""
    yield f"| {' | '.join(HEAD)} |"
    yield f"|---|---|{'--:|' * (len(HEAD) - 2)}"
    for row in rows:
        if "failed" in row:
            yield f"| `{row['method']}` | `{row['guard']}` | refused |" + " |" * (len(HEAD) - 3)
            continue
        shares = " | ".join(f"{row[name]:.1%}" for name in COLUMNS[:4])
        drift = "" if row["drift"] is None else f"{row['drift']:.2f}"
        leak = "" if row["leak"] is None else f"{row['leak']:.0e}"
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
        name = "*base*" if row["method"] == "base" else f"`{row['method']}`"
        guard = "" if row["guard"] == "none" else f"`{row['guard']}`"
        of = f"{row['n']} | {row['seeds'] if row['method'] in OBJECTIVES else ''}"
        yield f"| {name} | {guard} | {shares} | {drift} | {leak} | {seconds} | {of} |"


def section(entry: Entry) -> str:
    """A heading, what it does, where it is from, its parameters."""
    parts = [f"### `{entry.name}`", entry.summary]
    if entry.text:
        parts.append(f"```text\n{entry.text}\n```")
    if entry.note:
        parts.append(" ".join(entry.note.split()))
    if entry.roles:
        parts.append(
            f"`--params` {', '.join(f'`{role}`' for role in entry.roles)}; first is default."
        )
    if entry.parameters:
        lines = ["| parameter | default | range | what it is |", "|---|---|---|---|"]
        lines += [
            f"| `{p.name}` | `{written(p.default)}` | {p.choices} | {p.meaning} |"
            for p in entry.parameters
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def figures(rows: Iterable[dict[str, Any]], kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Means over concepts of a kind and over seeds, in the order of the registries.

    Of the seeds that a method has, those with every concept that there are rows of.
    """
    concepts: defaultdict[str, set[str]] = defaultdict(set)
    groups: defaultdict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        kind = kinds[row["concept"]]
        groups[row["method"], row["guard"], kind].append(row)
        concepts[kind].add(row["concept"])
    found, order = [], ["base", *METHODS]
    for (method, guard, kind), own in sorted(groups.items(), key=lambda g: order.index(g[0][0])):
        line = {"method": method, "guard": guard, "kind": kind}
        failed = next((row["failed"] for row in own if "failed" in row), None)
        if failed:
            found.append(line | {"failed": failed})
            continue
        whole = whole_seeds(own, len(concepts[kind]))
        if not whole:
            continue
        for name in COLUMNS:
            values = [row[name] for row in whole if row.get(name) is not None]
            line[name] = round(sum(values) / len(values), 10) if values else None
        seeds = len({row["seed"] for row in whole})
        found.append(line | {"n": sum(row["erased"] for row in whole), "seeds": seeds})
    return found


def whole_seeds(rows: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The rows of the seeds that have all the concepts: part of them may be the easier ones."""
    seeds: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        seeds[row["seed"]].append(row)
    return [row for own in seeds.values() if len(own) == count for row in own]


def measured(path: Path) -> list[dict[str, Any]]:
    """What methods_table.py wrote, as `figures`."""
    from methods_table import SETTINGS

    lines = map(json.loads, path.read_text().splitlines())
    rows = {row["key"]: row for row in lines}  # two at once may both have scored the base
    return figures(rows.values(), SETTINGS["concepts"])


def main() -> None:
    match sys.argv[1:]:
        case ["--figures", rows]:
            text = ",\n".join(map(json.dumps, measured(Path(rows))))
            FIGURES.write_text(f"[\n{text}\n]\n")
        case ["--table", rows]:
            print("\n".join(table(measured(Path(rows)))))
        case _:
            print(page(), end="")


if __name__ == "__main__":
    main()
