"""Limits on an evaluation's figures, for CI."""

from collections.abc import Mapping

from ckptedit.evaluation.score import Scores

NAMES = {"ua": "UA", "ra_i": "RA-I", "ra_c": "RA-C"}


def failures(scores: Scores, *, min_ua: float | None, min_ra: float | None) -> list[str]:
    """What is below its limit, a line each: the figure, its value, the option.

    A limit on what could not be measured is not reached, but for one of 0; RA-I and RA-C have one
    limit together, and one of the two is enough to be measured.
    """
    lines = []
    if min_ua is not None:
        lines += _below({"ua": scores.ua}, "--min-ua", min_ua)
    if min_ra is not None:
        kept = {"ra_i": scores.ra_i, "ra_c": scores.ra_c}
        measured = {name: value for name, value in kept.items() if value is not None}
        lines += _below(measured or kept, "--min-ra", min_ra)
    return lines


def _below(
    figures: Mapping[str, float] | Mapping[str, float | None], option: str, limit: float
) -> list[str]:
    unknown = [NAMES[name] for name, value in figures.items() if value is None]
    if unknown and limit > 0:
        return [f"{' and '.join(unknown)} not measured, and {option} is {_percent(limit)}"]
    return [
        f"{NAMES[name]} is {_percent(value)}, below {option} {_percent(limit)}"
        for name, value in figures.items()
        if value is not None and value < limit
    ]


def _percent(share: float) -> str:
    """To a hundredth, so that what is just below a limit does not read as the limit."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"
