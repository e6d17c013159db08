"""A line of `results.jsonl`, and what a person is told of it."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from ckptedit.concepts.names import normal
from ckptedit.concepts.targets import Target
from ckptedit.continual.requests import Asked
from ckptedit.continual.verify import REBOUND

Line = Mapping[str, Any]


def verified(
    residuals: Mapping[str, float], standing: Sequence[Asked], before: Sequence[Line], number: int
) -> list[dict[str, Any]]:
    """Each target with its request, what is left of it, and what came back since that request.

    residuals: target -> r; before: the lines of earlier requests; number: of this one
    """
    asked = {normal(name): entry.number for entry in standing for name in entry.names}
    first = {
        (normal(row["concept"]), line["request"]): row["residual"]
        for line in before
        for row in line["verified"]
        if row["request"] == line["request"]
    }
    found = []
    for concept, now in residuals.items():
        own = asked.get(normal(concept), number)
        then = first.get((normal(concept), own), now)
        row = {"concept": concept, "request": own, "residual": now, "rebound": now - then}
        found.append(row)
    return found


def rebounds(rows: Sequence[Line], remedy: str) -> list[str]:
    """A warning that names the targets that came back, if some did; remedy: what to do."""
    back = [row for row in rows if row["rebound"] > REBOUND]
    if not back:
        return []
    named = ", ".join(
        f"{r['concept']} (residual {r['residual'] - r['rebound']:.2f}, now {r['residual']:.2f})"
        for r in back
    )
    return [f"came back since erased: {named}; {remedy}"]


def kind_of(targets: Sequence[Target], entry: Asked) -> str | None:
    """The kind of what a request erases: "style", "object", "mixed"; None if it erases nothing."""
    names = set(map(normal, entry.names))
    kinds = {target.kind for target in targets if normal(target.concept) in names}
    return (kinds.pop() if len(kinds) == 1 else "mixed") if kinds else None


def told(line: Line, total: int) -> str:
    """The line of progress."""
    names = ", ".join(line["asked"] or line["withdrawn"])
    head = f"request {line['request']} of {total}, {names}: "
    if line["output"] is None:
        drift = line["drift"]["relative"]
        reached = "no try erased enough" if drift is None else f"drift {drift:.4f}"
        return f"{head}stopped, {reached}, above --max-drift {line['budget']['limit']:g}"
    parts = ["withdrawn" if line["withdrawn"] else "erased"]
    parts[0] += f" in {line['seconds']:.1f} s by {line['strategy']} {line['method']}"
    parts.append(f"drift {line['drift']['relative']:.4f}")
    if line["verified"]:
        worst = max(line["verified"], key=lambda row: row["residual"])
        parts.append(f"residual {worst['residual']:.2f} or less ({worst['concept']})")
    if line["budget"] and line["budget"]["outcome"] == "retried":
        parts.append(line["budget"]["tried"][-1]["how"])
    if line["scores"]:
        parts.append(figures(line["scores"]))
    return head + "; ".join(parts)


def figures(scores: Line) -> str:
    named = (("UA", "ua"), ("RA-I", "ra_i"), ("RA-C", "ra_c"))
    return ", ".join(
        f"{name} {scores[key]:.1%}" for name, key in named if scores.get(key) is not None
    )


def finite(value: Any) -> Any:
    """A value as JSON can hold it: null for NaN and Inf."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
