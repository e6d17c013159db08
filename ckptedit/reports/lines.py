"""The lines of a run's results.jsonl, checked: a stranger's folder must not break a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ckptedit.errors import BadParam
from ckptedit.files import escape

Line = Mapping[str, Any]

FIGURES = {  # names in `scores` -> what they are called
    "ua": "UA",
    "ra_i": "RA-I",
    "ra_i_shown": "RA-I shown",
    "ra_i_unseen": "RA-I unseen",
    "ra_c": "RA-C",
}


@dataclass(frozen=True)
class Verified:
    """What is left of one target: `residual` 0..1 and above, `rebound` since its own request."""

    concept: str
    request: int
    residual: float
    rebound: float


@dataclass(frozen=True)
class Figure:
    """A share in 0..1; interval: its 95 %, if it was told."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Met:
    """A request, and what came of it. number: 0 is the base, which was only scored.

    drift:  None where it could not be measured
    output: name of its checkpoint in the folder; None for the base, and where a budget stopped it
    budget: "kept", "retried" or "stopped"; None without a budget
    accuracy: concept -> (role, share of its pictures in which the judge sees it)
    """

    number: int
    asked: tuple[str, ...]
    withdrawn: tuple[str, ...]
    erased: tuple[str, ...]
    strategy: str
    method: str
    guards: tuple[str, ...]
    seconds: float
    drift: float | None
    output: str | None
    sha256: str | None
    verified: tuple[Verified, ...]
    budget: str | None
    scores: Mapping[str, Figure]
    accuracy: Mapping[str, tuple[str, float]]
    warnings: tuple[str, ...]


def met(line: Line, where: str) -> Met:
    """A line of results.jsonl. where: as messages name it. Raises BadParam if it is malformed."""
    try:
        return Met(
            number=int(line["request"]),
            asked=_texts(line["asked"]),
            withdrawn=_texts(line["withdrawn"]),
            erased=_texts(line["erased"]),
            strategy=_text(line["strategy"]),
            method=_text(line["method"]),
            guards=_texts(line["guards"]),
            seconds=_number(line["seconds"]),
            drift=_maybe(line["drift"]["relative"]),
            output=_file(line["output"]),
            sha256=None if line["sha256"] is None else _text(line["sha256"]),
            verified=tuple(map(_verified, line["verified"])),
            budget=_text(line["budget"]["outcome"]) if line["budget"] else None,
            scores=_scores(line["scores"] or {}),
            accuracy=_accuracy(line["scores"] or {}),
            warnings=_texts(line["warnings"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadParam(f"{where} is not a line of `continual`: {escape(error)}") from error


def _verified(row: Line) -> Verified:
    residual, rebound = _number(row["residual"]), _number(row["rebound"])
    return Verified(_text(row["concept"]), int(row["request"]), residual, rebound)


def _scores(scores: Line) -> dict[str, Figure]:
    ends = scores.get("intervals") or {}
    found = {}
    for name in FIGURES:
        value = _maybe(scores.get(name))
        if value is not None:
            low, high = ends[name] if ends.get(name) else (None, None)
            between = None if low is None else (_number(low), _number(high))
            found[name] = Figure(value, between)
    return found


def _accuracy(scores: Line) -> dict[str, tuple[str, float]]:
    return {
        _text(row["concept"]): (_text(row["role"]), _number(row["accuracy"]))
        for row in scores.get("per_concept") or []
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return escape(value)


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list")
    return tuple(map(_text, values))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _maybe(value: Any) -> float | None:
    return None if value is None else _number(value)


def _file(value: Any) -> str | None:
    """The name of a file in the folder, and in no other."""
    if value is None:
        return None
    if not isinstance(value, str) or value in ("", ".", "..") or "/" in value or "\\" in value:
        raise ValueError(f"{value!r} is no name of a file")
    return value
