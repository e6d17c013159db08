"""Reads the audits that recipes/audit-table.sh leaves, one JSON file each, as one file or a table.

python recipes/audit_table.py FOLDER                     a table of Markdown
python recipes/audit_table.py FOLDER --json OUT.json     what it needs of them, to be kept
python recipes/audit_table.py recipes/audit-figures.json the table of what was kept
"""

import argparse
import json
from pathlib import Path
from typing import Any

METHODS = ("balanced", "uce", "conabl", "conabl+soft", "esd", "sculpmem")
COLUMNS = {  # heading -> probe and figure
    "left in words": ("residual", "left"),
    "residual": ("residual", "plain"),
    "collateral": ("collateral", "farthest"),
    "restored": ("recoverability", "restored"),
    "from a word": ("recoverability", "from_word"),
    "gap": ("gap", "left"),
    "seen": ("prefix", "plain"),
    "prefix": ("prefix", "success"),
    "untold": ("inversion", "returned"),
    "half fresh": ("inversion", "mixed"),
    "relearned": ("relearning", "relearned"),
    "after steps": ("relearning", "after"),
}
SHARES = {"left in words", "collateral", "restored", "gap", "seen", "prefix", "untold",
          "half fresh", "relearned"}  # fmt: skip


def found(where: Path) -> list[dict[str, Any]]:
    """The rows, style before object, in the order of METHODS."""
    if where.is_file():
        rows: list[dict[str, Any]] = json.loads(where.read_text())
        return rows
    rows = []
    for path in where.glob("*.json"):
        concept, _, method = path.stem.partition(".")
        if method in METHODS:
            probes = json.loads(path.read_text())["probes"]
            figures = {name: each["figures"] for name, each in probes.items()}
            curve = [[row["steps"], row["seen"]] for row in probes["relearning"]["rows"]]
            rows.append({"concept": concept.replace("-", " "), "kind": _kind(path),
                         "method": method, "probes": figures, "curve": curve})  # fmt: skip
    return sorted(rows, key=lambda row: (row["kind"] != "style", METHODS.index(row["method"])))


def _kind(path: Path) -> str:
    return str(json.loads(path.read_text())["kind"])


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"| concept | method | {' | '.join(COLUMNS)} |", f"|---|---|{'--:|' * len(COLUMNS)}"]
    for row in rows:
        cells = [cell(name, row["probes"][probe][figure])
                 for name, (probe, figure) in COLUMNS.items()]  # fmt: skip
        lines.append(f"| {row['concept']} | `{row['method']}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0%}" if column in SHARES else f"{value:.3g}"


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("where", type=Path)
    asked.add_argument("--json", type=Path)
    args = asked.parse_args()
    rows = found(args.where)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    else:
        print(table(rows))


if __name__ == "__main__":
    main()
