"""Curves and a heat map as points, lines and colours; the templates make SVG of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf, log10

from ckptedit.reports.heat import Heat
from ckptedit.reports.lines import Figure

WIDTH, HEIGHT = 480, 260  # of curves, in units of the SVG
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34  # around what is drawn
DODGE = 3  # between curves, whose intervals would hide each other
TICKS = 12  # numbers below the curves, at most

LABELS, HEAD, CELL, ROW, GAP = 84, 34, 44, 20, 10  # of the heat map
LEGEND = 212  # wide enough for the scale of colours
WIDE = 16  # columns up to which a cell says its number
NARROWEST = 6

# viridis (van der Walt and Smith, 2015), for eyes of all kinds, in greys, too
VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
LIGHT = 0.6  # from here on its colours take dark letters


@dataclass(frozen=True)
class Point:
    """x, y and the ends of its interval in units of the SVG; label: for those who point at it"""

    x: float
    y: float
    label: str
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """style: a number, of its colour, dashes and marks; line: points of a polyline"""

    name: str
    style: int
    points: tuple[Point, ...]
    line: str


@dataclass(frozen=True)
class Curves:
    """x_ticks, y_ticks: where, and what is written there"""

    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    series: tuple[Series, ...]


def curves(
    values: Mapping[str, Mapping[int, Figure]], last: int, *, top: float | None = None
) -> Curves:
    """Figures against the number of the request.

    values: name -> request -> figure, 0 or more; last: the greatest request
    top:    of the scale, 1 for shares in percent; None: whatever takes all of them
    """
    shares = top is not None
    figures = [figure.value for row in values.values() for figure in row.values()]
    most = top or nice(max(figures, default=0.0))

    def x(number: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * number / max(last, 1), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most, 1)

    def point(name: str, aside: int, number: int, figure: Figure) -> Point:
        label = f"{name}, request {number}: {shown(figure, shares)}"
        ends = figure.interval and (y(figure.interval[0]), y(figure.interval[1]))
        return Point(x(number) + DODGE * aside, y(figure.value), label, ends)

    series = []
    for style, (name, row) in enumerate(values.items()):
        points = tuple(point(name, style, *each) for each in sorted(row.items()))
        line = " ".join(f"{p.x},{p.y}" for p in points)
        series.append(Series(name, style, points, line))
    step = ceil((last + 1) / TICKS)
    x_ticks = tuple((x(n), str(n) if n else "base") for n in range(0, last + 1, step))
    marks = [most * i / 4 for i in range(5)]
    y_ticks = tuple((y(m), f"{m:.0%}" if shares else f"{m:.3g}") for m in marks)
    return Curves(x_ticks, y_ticks, tuple(series))


def nice(value: float) -> float:
    """The least of 1, 2, 4, 5 and 10 times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (ceil(log10(value)) - 1)
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= value * (1 - 1e-12))


def shown(figure: Figure, share: bool = True) -> str:
    """ "97.6% (95% interval 96.1% to 98.8%)" """
    number = (lambda v: f"{v:.1%}") if share else (lambda v: f"{v:.3g}")
    if figure.interval is None:
        return number(figure.value)
    low, high = map(number, figure.interval)
    return f"{number(figure.value)} (95% interval {low} to {high})"


@dataclass(frozen=True)
class Cell:
    """fill: "" where nothing moved; ink: of the number in it; label: for those who point at it"""

    x: float
    y: float
    fill: str
    ink: str
    text: str
    label: str


@dataclass(frozen=True)
class Map:
    """The heat map. blocks, roles, requests: where, and what is written there"""

    width: float
    height: float
    cell: float
    blocks: tuple[tuple[float, str], ...]
    roles: tuple[tuple[float, str], ...]
    requests: tuple[tuple[float, str], ...]
    cells: tuple[Cell, ...]
    most: float
    legend: tuple[str, ...]


def heat_map(heat: Heat) -> Map:
    """A row for each block, and for each role a column for each request."""
    columns = len(heat.roles) * len(heat.requests)
    cell = CELL if columns <= WIDE else max(NARROWEST, WIDE * CELL // columns)
    finite = [value for value in heat.cells.values() if value < inf]
    most = max(finite, default=0.0)
    every = ceil(len(heat.requests) * len(heat.roles) / WIDE)

    def x(role: int, request: int) -> float:
        return LABELS + role * (len(heat.requests) * cell + GAP) + request * cell

    cells = []
    for i, block in enumerate(heat.blocks):
        for j, role in enumerate(heat.roles):
            for k, number in enumerate(heat.requests):
                value = heat.cells.get((block, role, number))
                if value is None:
                    continue
                share = min(value / most, 1.0) if most else float(value > 0)
                fill = color(share) if value else ""
                ink = "#000" if share >= LIGHT else "#fff"
                label = f"{block}, {role}, request {number}: {relative(value)}"
                text = relative(value) if columns <= WIDE else ""
                cells.append(Cell(x(j, k), HEAD + i * ROW, fill, ink, text, label))
    half = len(heat.requests) * cell / 2
    return Map(
        width=max(x(len(heat.roles) - 1, len(heat.requests)) + GAP, LEGEND)
        if heat.roles
        else LABELS,
        height=HEAD + len(heat.blocks) * ROW + GAP,
        cell=cell,
        blocks=tuple((HEAD + i * ROW + ROW / 2, name) for i, name in enumerate(heat.blocks)),
        roles=tuple((x(j, 0) + half, role) for j, role in enumerate(heat.roles)),
        requests=tuple(
            (x(j, k) + cell / 2, str(number))
            for j in range(len(heat.roles))
            for k, number in enumerate(heat.requests)
            if k % every == 0
        ),
        cells=tuple(cells),
        most=most,
        legend=tuple(color(i / 4) for i in range(5)),
    )


def relative(value: float) -> str:
    """A relative drift; "new" where there was nothing before."""
    return "new" if value == inf else f"{value:.3f}" if value else "0"


def color(share: float) -> str:
    """Of viridis at a share in 0..1, "#rrggbb"."""
    place = min(max(share, 0.0), 1.0) * (len(VIRIDIS) - 1)
    low = min(int(place), len(VIRIDIS) - 2)
    mixed = (
        a + (b - a) * (place - low) for a, b in zip(VIRIDIS[low], VIRIDIS[low + 1], strict=True)
    )
    return "#" + "".join(f"{round(part):02x}" for part in mixed)
