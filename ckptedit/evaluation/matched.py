"""Fair comparisons of ways to erase: at equal deletion, and with what came back on its own.

A method that deletes less keeps more, so that RA beside RA says little where UA differs. Each
method has a dial (a strength, a number of steps, a scale); its points are put on a line by UA, and
RA is read where all methods delete the same. UA has to be of the reported set of pictures, not of
one that a dial was tuned on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ckptedit.errors import BadParam

Point = Mapping[str, Any]  # figures of one run, as `eval --json` has them


def matched(
    runs: Mapping[str, Sequence[Point]], *, figure: str = "ra_i", ua: float | None = None
) -> dict[str, float | None]:
    """A figure of each method where its UA is the same; None where no two runs of it have that UA
    between them: nothing is extrapolated.

    runs: method -> its dial's points
    ua:   default: `common_ua`
    """
    level = common_ua(runs) if ua is None else ua
    return {name: _at(level, _line(points, figure)) for name, points in runs.items()}


def common_ua(runs: Mapping[str, Sequence[Point]]) -> float:
    """The highest UA that every method reaches. Raises BadParam if there is none."""
    lines = {name: _line(points, "ua") for name, points in runs.items()}
    if empty := [name for name, line in lines.items() if not line]:
        raise BadParam(f"no run of {empty[0]} has a UA")
    if not lines:
        raise BadParam("there are no runs to compare")
    level = min(line[-1][0] for line in lines.values())
    if late := [name for name, line in lines.items() if line[0][0] > level]:
        raise BadParam(
            f"no UA is common to all: the least of {late[0]} is {lines[late[0]][0][0]:.1%}, and "
            f"another reaches {level:.1%} at most; add weaker settings of {late[0]}"
        )
    return level


def relapse(right_after: Point, later: Point) -> dict[str, float]:
    """How much UA changed since a concept was erased, by concept: below 0, it came back.

    right_after, later: runs on the same suite, the second after relearning or more requests; of
    concepts that are erased in both
    """
    before, after = _gone(right_after), _gone(later)
    return {name: after[name] - before[name] for name in before if name in after}


def _line(points: Sequence[Point], figure: str) -> list[tuple[float, float]]:
    """(UA, figure), UA rising; runs of the same UA as their mean, so that none is picked."""
    found: dict[float, list[float]] = {}
    for point in points:
        if point.get("ua") is not None and point.get(figure) is not None:
            found.setdefault(point["ua"], []).append(point[figure])
    return [(ua, sum(values) / len(values)) for ua, values in sorted(found.items())]


def _at(level: float, line: Sequence[tuple[float, float]]) -> float | None:
    for (left, low), (right, high) in zip(line, [*line[1:], *line[-1:]], strict=True):
        if left == level:
            return low
        if left < level <= right:
            return low + (high - low) * (level - left) / (right - left)
    return None


def _gone(point: Point) -> dict[str, float]:
    """UA of each erased concept."""
    rows = [row for row in point["per_concept"] if row["role"] == "erased"]
    return {row["concept"]: 1 - row["accuracy"] for row in rows}
