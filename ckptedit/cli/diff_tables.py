"""What `ckptedit diff` shows: plain columns, of which none is cut or folded, whatever the terminal.

Names come from strangers: they are escaped, and stand last in their lines.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ckptedit.drift import Comparison, Drift, Group, Judgement, Outcome, TensorDiff
    from ckptedit.drift.along import Along
    from ckptedit.drift.words import MovedWords

HEADS = {
    "same": "same: every tensor, byte for byte",
    "within": "within the limits",
    "differs": "the checkpoints differ",
    "exceeded": "a limit is exceeded",
    "unsound": "every tensor is the same, but NaN or Inf is in them",
}
FIGURES = ("relative L2", "L2", "L1", "max", "cosine", "changed")
BRIEF = ("relative L2", "L2", "max", "changed")
WORDS = ("shape", "dtype", "tensor")  # columns of words, which are flush left
COLUMNS = 6  # roles with a column of their own, so that 80 characters are enough
NAMED = 5  # tensors named for a broken rule


def lines(drift: "Drift", *, top: int | None) -> Iterator[str]:
    """The totals, then what moved and where, then the rules.

    top: how many tensors are listed at most; None lists all, with all of their figures
    """
    comparison = drift.comparison
    total = comparison.total
    yield (
        f"{total.changed:,} of {total.tensors:,} tensors changed, "
        f"{total.sums.changed:,} of {total.sums.elements:,} values"
    )
    yield from scope(comparison)
    if comparison.changed:
        yield from table(FIGURES, [figures(total)])
        yield from places(comparison)
        yield from movers(comparison.movers()[:top], FIGURES if top is None else BRIEF)
    if comparison.spectra:
        yield from spectra(comparison, top)
    if drift.along:
        yield from inside(drift.along, top)
    if drift.words:
        yield from moved(drift.words)
    yield from rules(comparison, drift.judgement, top)


def scope(comparison: "Comparison") -> Iterator[str]:
    """What the figures do not cover, and what they cover under another name."""
    if comparison.left_out:
        yield f"{comparison.left_out:,} tensors were left out"
    if comparison.translated:
        yield (
            f"{comparison.translated:,} tensors have other names in one of the two; "
            "they were translated"
        )


def figures(item: "Group | TensorDiff", names: Sequence[str] = FIGURES) -> list[str]:
    """The cells under FIGURES, or under some of them."""
    x = item.figures
    cells = [f"{value:.4g}" for value in (x.relative, x.l2, x.l1, x.linf)]
    cells += [f"{x.cosine:.6f}", f"{x.changed_fraction:.2%}"]
    return [cell for name, cell in zip(FIGURES, cells, strict=True) if name in names]


def places(comparison: "Comparison") -> Iterator[str]:
    """Relative L2 by block and role, of those that changed."""
    roles = [group for group in comparison.grouped(lambda t: (t.role,)) if group.changed]
    roles.sort(key=lambda group: (group.sums.delta2 == group.sums.delta2, -group.sums.delta2))
    shown = [group.key[0] for group in roles[:COLUMNS]]
    head = [*shown, "rest"] if len(roles) > COLUMNS else shown
    cells = comparison.grouped(
        lambda t: (t.component, t.block, t.role if t.role in shown else "rest")
    )
    found = {group.key: f"{group.figures.relative:.2g}" for group in cells if group.changed}
    blocks = sorted({key[:2] for key in found})
    rows = [(*block, *(found.get((*block, role), "") for role in head)) for block in blocks]
    return table(("relative L2", "", *head), rows, left=2)


def movers(tensors: "Sequence[TensorDiff]", names: Sequence[str]) -> Iterator[str]:
    """The tensors that moved most."""
    from ckptedit.files import escape

    everything = len(names) == len(FIGURES)
    head = (*names, *(WORDS if everything else WORDS[-1:]))
    rows = []
    for tensor in tensors:
        kind = [shape(tensor.shape), dtype(tensor)] if everything else []
        rows.append([*figures(tensor, names), *kind, escape(tensor.name)])
    return table(head, rows) if rows else iter(())


def shape(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes)) or "scalar"


def dtype(tensor: "TensorDiff") -> str:
    return " → ".join(tensor.dtypes) if tensor.retyped else tensor.dtypes[1]


def spectra(comparison: "Comparison", top: int | None) -> Iterator[str]:
    """Ranks of the deltas, strongest first, and whether K/V weights share a right factor."""
    from ckptedit.drift.comparison import sentence
    from ckptedit.files import escape

    strongest = sorted(comparison.spectra.items(), key=lambda item: -item[1].spectral_norm)[:top]
    head = ("spectral norm", "rank", "stable rank", "effective rank", "tensor")
    rows = []
    for name, s in strongest:
        ranks = [str(s.rank), f"{s.stable_rank:.3g}", f"{s.effective_rank:.4g}"]
        rows.append([f"{s.spectral_norm:.4g}", *ranks, escape(name)])
    yield from table(head, rows)
    yield from map(sentence, comparison.factors)


def inside(found: "Along", top: int | None) -> Iterator[str]:
    """The share of the K/V weights' drift that lies in a subspace, most of it first."""
    from ckptedit.files import escape

    rank, dim = found.basis.rows.shape
    whose = escape(", ".join(found.basis.concepts) or found.basis.label)
    yield ""
    if not found.tensors:
        yield f"along {whose}: no K/V weight changed"
        return
    yield f"along {whose}, {rank} of {dim} directions, which by chance hold {rank / dim:.1%}:"
    ordered = sorted(found.tensors.items(), key=lambda item: -item[1].inside)[:top]
    parts = [("all K/V weights", found.total), *((escape(name), part) for name, part in ordered)]
    rows = [[f"{p.inside:.2%}", f"{p.outside:.2%}", f"{p.moved:.4g}", name] for name, p in parts]
    yield from islice(table(("inside", "outside", "moved in it", "tensor"), rows), 1, None)


def moved(found: "MovedWords") -> Iterator[str]:
    """The words whose keys and values moved most."""
    from ckptedit.files import escape

    yield ""
    if not any(word.moved for word in found.farthest):
        yield f"no key or value of {found.count:,} words moved"
        return
    yield f"keys and values of {found.count:,} words moved by {found.median:.4g}, in the median:"
    rows = [
        [f"{w.moved:.4f}", f"{w.keys:.4f}", f"{w.values:.4f}", escape(w.word)]
        for w in found.farthest
    ]
    yield from islice(table(("moved", "keys", "values", "word"), rows), 1, None)


def rules(comparison: "Comparison", judgement: "Judgement", top: int | None) -> Iterator[str]:
    """The broken rules, and the word for all. What changed has its own table."""
    from ckptedit.drift.gates import NO_CHANGE

    for outcome in judgement.outcomes:
        if not outcome.passed and outcome.rule != NO_CHANGE:
            broken = rule(outcome, NAMED if top is not None else None)
            yield from (typer.style(line, fg="red") for line in broken)
    word = judgement.word
    if word == "differs" and comparison.equal:
        word = "unsound"
    head = HEADS[word]
    if comparison.left_out:
        head = head.replace("every tensor", "every tensor compared")
    yield typer.style(head, fg="green" if judgement.passed else "red")


def rule(outcome: "Outcome", named: int | None) -> list[str]:
    """A broken rule, and below it the tensors that broke it."""
    from ckptedit.files import escape

    names = [escape(name) for name in outcome.tensors[:named]]
    if len(outcome.tensors) > len(names):
        names.append(f"and {len(outcome.tensors) - len(names):,} more")
    measured = "" if outcome.measured is None else f", but measured {outcome.measured:.6g}"
    return [f"broken: {escape(outcome.rule)}{measured}", *(f"  {name}" for name in names)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 0) -> Iterator[str]:
    """An empty line, the head and the rows. left: columns at the start that are flush left"""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    words = [i < left or title in (*WORDS, "word") for i, title in enumerate(head)]

    def line(cells: Sequence[str]) -> str:
        columns = zip(cells, widths, words, strict=True)
        return "  ".join(c.ljust(w) if word else c.rjust(w) for c, w, word in columns).rstrip()

    yield ""
    yield typer.style(line(head), bold=True)
    yield from map(line, rows)
