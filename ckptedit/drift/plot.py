"""Drift as a picture: where in the model it is, and how it is spread over the tensors."""

from io import BytesIO
from math import inf, log10
from typing import TYPE_CHECKING

from ckptedit.drift.comparison import Comparison, Group
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm

INK, QUIET, EMPTY = "#1f2430", "#6b7280", "#eef0f3"
SHADES = ("#3b6fb6", "#d97706", "#0f8b6d", "#8b5cf6", "#64748b")
FIRST = ("k", "v", "q", "out", "self.k", "self.v", "self.q", "self.out")  # then by the alphabet
LAST = ("TIME", "END", "HEAD")
DECADE = 10.0  # the least range that is shown: nearly equal figures shall look nearly equal
BINS = 31  # odd: equal values, which stand in the middle, fall into one

SIGNS = "dots: unchanged; ×: changed, but 0, infinite or NaN"

Row = tuple[str, str]  # component, block


def as_png(comparison: Comparison) -> bytes:
    """A heat map of relative L2, block by role, beside a histogram over the changed tensors.

    Components in which nothing changed are left out. Raises BadParam if matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BadParam("--plot needs matplotlib: pip install 'ckptedit[plots]'") from error
    groups = comparison.grouped(lambda t: (t.component, t.block, t.role))
    moved = {group.key[0] for group in groups if group.changed}
    groups = [group for group in groups if group.key[0] in moved]
    height = max(4.2, 1.8 + 0.24 * len({group.key[:2] for group in groups}))
    figure = Figure((12.5, height), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _heat_map(left, groups)
    _histogram(right, comparison)
    total = comparison.total
    title = (
        f"{total.changed:,} of {total.tensors:,} tensors changed · "
        f"relative L2 {total.figures.relative:.3g} · cosine {total.figures.cosine:.6f}"
    )
    figure.suptitle(title, color=INK, fontsize=12)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _heat_map(axes: "Axes", groups: list[Group]) -> None:
    rows: list[Row] = sorted({(g.key[0], g.key[1]) for g in groups}, key=row_order)
    roles = sorted({g.key[2] for g in groups}, key=role_order)
    grid = [[float("nan")] * len(roles) for _ in rows]
    for group in groups:
        y, x = rows.index((group.key[0], group.key[1])), roles.index(group.key[2])
        if not group.changed:
            axes.plot(x, y, marker=".", color="#c3c8d0", markersize=3)
        elif on_scale(group.figures.relative):
            grid[y][x] = group.figures.relative
        else:
            axes.plot(x, y, marker="x", color="#c2410c", markersize=6)
    axes.set_facecolor(EMPTY)
    axes.set_title(f"Relative L2 by block and role ({SIGNS})", color=INK, fontsize=10)
    axes.set_xticks(range(len(roles)), roles, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), [" ".join(row) for row in rows], fontsize=8)
    axes.tick_params(length=0, colors=QUIET)
    axes.spines[:].set_visible(False)
    for y in range(1, len(rows)):
        if rows[y][0] != rows[y - 1][0]:
            axes.axhline(y - 0.5, color="white", linewidth=4)
    if norm := _colors([x for row in grid for x in row]):
        image = axes.imshow(grid, norm=norm, cmap="viridis", aspect="auto", interpolation="nearest")
        bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
        bar.ax.tick_params(which="both", labelsize=8, colors=QUIET)
        bar.outline.set_visible(False)
    if rows:
        axes.set(xlim=(-0.5, len(roles) - 0.5), ylim=(len(rows) - 0.5, -0.5))


def on_scale(relative: float) -> bool:
    """Whether a relative L2 has a place on a logarithmic scale."""
    return 0 < relative < inf


def row_order(row: Row) -> tuple[str, int, str]:
    component, block = row
    return component, LAST.index(block) if block in LAST else -1, block


def role_order(role: str) -> tuple[int, str]:
    return FIRST.index(role) if role in FIRST else len(FIRST), role


def _colors(values: list[float]) -> "LogNorm | None":
    """A logarithmic scale over the values that have a logarithm; None if there is none."""
    from matplotlib.colors import LogNorm

    found = [x for x in values if on_scale(x)]
    return LogNorm(min(min(found), max(found) / DECADE), max(found)) if found else None


def _histogram(axes: "Axes", comparison: Comparison) -> None:
    from matplotlib.ticker import MaxNLocator

    values: dict[str, list[float]] = {}
    for tensor in comparison.changed:
        if on_scale(tensor.figures.relative):
            values.setdefault(tensor.component, []).append(tensor.figures.relative)
    left = len(comparison.changed) - sum(map(len, values.values()))
    beyond = f" (not shown: {left:,} at 0, infinite or NaN)" if left else ""
    axes.set_title("Changed tensors by relative L2" + beyond, color=INK, fontsize=10)
    axes.set_ylabel("tensors", color=QUIET, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", colors=QUIET, labelsize=8)
    if not values:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no tensor to show", ha="center", transform=axes.transAxes, color=QUIET)
        return
    every = [x for part in values.values() for x in part]
    low, high = log10(min(every)), log10(max(every))
    room = max(0.0, log10(DECADE) - (high - low)) / 2
    edges = [low - room + i * (high - low + 2 * room) / BINS for i in range(BINS + 1)]
    colors = [SHADES[i % len(SHADES)] for i in range(len(values))]
    bins = [10.0**edge for edge in edges]
    axes.hist(list(values.values()), bins=bins, stacked=True, color=colors, label=list(values))
    axes.set_xscale("log")
    axes.set_xlabel("relative L2", color=QUIET, fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
