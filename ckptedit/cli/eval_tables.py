"""What `eval` prints for people: the figures with their intervals, then a line per concept."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ckptedit.evaluation.fidelity import Fidelity
    from ckptedit.evaluation.score import Scores

SAYS = {
    "ua": ("UA", "of the erased concepts' pictures lack them"),
    "ra_i": ("RA-I", "of retained concepts of that kind are there"),
    "ra_i_shown": ("  shown", "of those that the edit was told of"),
    "ra_i_unseen": ("  unseen", "of those that it was not"),
    "ra_c": ("RA-C", "of the other kind's concepts are there"),
    "clip_erased": ("CLIP", "cosine of picture and prompt, where something erased is named"),
    "clip_retained": ("CLIP", "where nothing is"),
    "detector_erased": ("detector", "its mean score, where something erased is named"),
    "detector_retained": ("detector", "where nothing is"),
}


def tables(scores: "Scores", name: str) -> "Iterable[RenderableType]":
    from rich.table import Table
    from rich.text import Text

    from ckptedit.files import escape

    beside = "" if scores.differences is None else "; last column: less the other checkpoint"
    yield Text(f"{escape(Path(name).name)}: {scores.n} pictures; in brackets: 95 %{beside}")
    figures = Table(box=None, pad_edge=False, show_header=False)
    for figure, (label, says) in SAYS.items():
        value = getattr(scores, figure)
        if value is None and figure not in ("ua", "ra_i", "ra_c"):
            continue
        ends = span(figure, scores.intervals.get(figure))
        figures.add_row(label, number(figure, value).rjust(6), ends, says, *moved(scores, figure))
    yield figures
    if scores.fidelity is not None:
        yield from map(Text, distances(scores.fidelity))
    table = Table(box=None, pad_edge=False)
    for column in ("concept", "kind", "role", "seen", "", "n"):
        table.add_column(column, justify="right" if column in ("seen", "n") else "left")
    order = sorted(scores.per_concept, key=lambda s: (s.role != "erased", s.accuracy))
    for row in order:
        seen, ends = number("ua", row.accuracy), span("ua", row.interval)
        table.add_row(escape(row.concept), row.kind, row.role, seen, ends, str(row.n))
    yield table


def distances(fidelity: "Fidelity") -> Iterator[str]:
    """KID and FID, a line each; "too few" where a set is smaller than they need."""
    of = {"the other checkpoint's": fidelity.against, "those in the folder": fidelity.reference}
    for name, found in of.items():
        if found is not None:
            kid, fid = ("too few" if x is None else f"{x:.4g}" for x in (found.kid, found.fid))
            n = f"{found.n[0]} and {found.n[1]} pictures"
            yield f"KID {kid}, FID {fid} from {name}, by {fidelity.features} ({n})"


def moved(scores: "Scores", figure: str) -> list[str]:
    """How far a figure is from the other checkpoint's, if there is one."""
    if scores.differences is None or figure not in scores.differences:
        return []
    difference = scores.differences[figure]
    ends = span(figure, difference.interval, sign="+")
    return [f"{number(figure, difference.value, sign='+')} {ends}".strip()]


def number(figure: str, value: float | None, *, sign: str = "") -> str:
    if value is None:
        return "–"
    is_share = figure.startswith(("ua", "ra_"))
    return f"{value:{sign}.1%}" if is_share else f"{value:{sign}.3f}"


def span(figure: str, ends: tuple[float, float] | None, *, sign: str = "") -> str:
    if ends is None:
        return ""
    low, high = (number(figure, end, sign=sign).removesuffix("%") for end in ends)
    return f"[{low}, {high}]"
