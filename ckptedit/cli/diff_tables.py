"""What `ckptedit diff` shows on a terminal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from ckptedit.diff import Group, Judgement, Report, TensorDiff, Verdict

HEADS = {
    "same": "same: every tensor, byte for byte",
    "within": "within the limits",
    "differs": "the checkpoints differ",
    "exceeded": "a limit is exceeded",
}
FIGURES = ("relative L2", "L2", "L1", "max", "cosine", "changed")
COLUMNS = 8  # roles with a column of their own
NAMED = 5  # tensors named for a broken rule


def tables(
    report: "Report", judgement: "Judgement", *, top: int | None
) -> Iterable["RenderableType"]:
    """The totals, then what moved and where, then the rules.

    top: how many tensors are listed at most; None lists all
    """
    yield plain(counts(report))
    if report.changed:
        yield grid(FIGURES, [figures(report.total)], left=0)
        yield places(report)
    if movers := report.movers()[:top]:
        yield moved(movers)
    if report.spectra:
        yield from spectral(report, top)
    yield from rules(judgement, top)


def counts(report: "Report") -> str:
    total = report.total
    return (
        f"{total.changed:,} of {total.tensors:,} tensors changed, "
        f"{total.sums.changed:,} of {total.sums.elements:,} values"
    )


def figures(item: "Group | TensorDiff") -> tuple[str, ...]:
    x = item.figures
    numbers = (f"{value:.4g}" for value in (x.relative, x.l2, x.l1, x.linf))
    return (*numbers, f"{x.cosine:.6f}", f"{x.changed_fraction:.2%}")


def places(report: "Report") -> "Table":
    """Relative L2 by block and role, of those that changed."""
    roles = [group for group in report.grouped(lambda t: (t.role,)) if group.changed]
    roles.sort(key=lambda group: (group.sums.delta2 == group.sums.delta2, -group.sums.delta2))
    shown = [group.key[0] for group in roles[:COLUMNS]]
    head = [*shown, "rest"] if len(roles) > COLUMNS else shown
    cells = report.grouped(lambda t: (t.component, t.block, t.role if t.role in shown else "rest"))
    found = {group.key: f"{group.figures.relative:.2g}" for group in cells if group.changed}
    blocks = sorted({key[:2] for key in found})
    rows = [(*block, *(found.get((*block, role), "") for role in head)) for block in blocks]
    return grid(("relative L2", "", *head), rows, left=2)


def moved(movers: Sequence["TensorDiff"]) -> "Table":
    """The tensors that moved most."""
    from ckptedit.files import escape

    rows = [(*figures(t), shape(t.shape), kind(t), escape(t.name)) for t in movers]
    return grid((*FIGURES, "shape", "dtype", "tensor"), rows, left=0)


def shape(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes)) or "scalar"


def kind(tensor: "TensorDiff") -> str:
    return " → ".join(tensor.dtypes) if tensor.retyped else tensor.dtypes[1]


def spectral(report: "Report", top: int | None) -> Iterable["RenderableType"]:
    """Ranks of the deltas, strongest first, and whether K/V weights share a right factor."""
    from ckptedit.files import escape

    strongest = sorted(report.spectra.items(), key=lambda item: -item[1].spectral_norm)[:top]
    yield grid(
        ("spectral norm", "rank", "stable rank", "effective rank", "tensor"),
        [
            (
                f"{s.spectral_norm:.4g}",
                str(s.rank),
                f"{s.stable_rank:.3g}",
                f"{s.effective_rank:.4g}",
                escape(name),
            )
            for name, s in strongest
        ],
        left=0,
    )
    for factor in report.factors:
        edits = f"{factor.matrices} K/V edits of width {factor.dim}"
        if factor.shared:
            yield plain(
                f"{edits} share one right factor of rank {factor.rank}: "
                "a closed form, or training in a fixed subspace"
            )
        else:
            yield plain(
                f"{edits} have no small right factor in common: their rows span {factor.rank} "
                f"directions, those of one alone up to {factor.largest_rank}"
            )


def rules(judgement: "Judgement", top: int | None) -> Iterable["RenderableType"]:
    """The broken rules, and the word for all. What changed has its own table."""
    from ckptedit.diff.gates import NO_CHANGE

    broken = [verdict for verdict in judgement.verdicts if not verdict.passed]
    for verdict in broken:
        if verdict.rule != NO_CHANGE:
            yield rule(verdict, NAMED if top is not None else None)
    yield plain(HEADS[judgement.word], "green" if judgement.passed else "red")


def rule(verdict: "Verdict", named: int | None) -> "Text":
    from ckptedit.files import escape

    names = [escape(name) for name in verdict.tensors[:named]]
    if len(verdict.tensors) > len(names):
        names.append(f"and {len(verdict.tensors) - len(names):,} more")
    measured = "" if verdict.measured is None else f", but measured {verdict.measured:.6g}"
    tail = f": {', '.join(names)}" if names else ""
    return plain(f"broken: {escape(verdict.rule)}{measured}{tail}", "red")


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> "Table":
    """A table without markup, since names come from strangers.

    left: columns at the start that are flush left; names, shapes and dtypes always are
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, title in enumerate(head):
        text = index < left or title in ("shape", "dtype", "tensor")
        table.add_column(
            title, justify="left" if text else "right", no_wrap=title != "tensor", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(plain, row))
    return table


def plain(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style)
