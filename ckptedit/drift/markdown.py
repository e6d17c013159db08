"""A report as Markdown that fits into a comment on a pull request."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ckptedit.drift.comparison import Comparison, Group, TensorDiff, sentence
from ckptedit.drift.gates import Judgement, Outcome
from ckptedit.files import escape

if TYPE_CHECKING:
    from ckptedit.drift.along import Along
    from ckptedit.drift.run import Drift
    from ckptedit.drift.words import MovedWords

LIMIT = 65_000  # characters; GitHub refuses comments beyond 65 536
CUT = "\n\n(more than a comment holds; the rest is left out)\n"
NAMED = 10  # tensors that are named for a broken rule

HEADS = {
    "same": "✅ The checkpoints are the same",
    "within": "✅ The drift is within its limits",
    "differs": "❌ The checkpoints differ",
    "exceeded": "❌ The drift exceeds its limits",
}
RANKS = ("spectral norm", "rank", "stable rank", "effective rank")
FIGURES = ("relative", "L2", "L1", "L∞", "cosine", "changed")


def as_markdown(drift: "Drift", top: int = 20) -> str:
    """The verdict, the totals and the rules; folded away, blocks, roles, the top movers, and what
    moved in a subspace and of words, where that was asked for.

    top: how many tensors are listed at most; fewer, if the text would not fit
    """
    while True:
        text = "\n".join(_lines(drift, top)) + "\n"
        if len(text) <= LIMIT:
            return text
        if top == 0:
            return text[: text.rindex("\n", 0, LIMIT - len(CUT))] + CUT
        top //= 2


def _lines(drift: "Drift", top: int) -> Iterable[str]:
    comparison, judgement = drift.comparison, drift.judgement
    yield from _verdict(comparison, judgement)
    groups = comparison.grouped(lambda t: (t.component, t.block, t.role))
    rows = [[*group.key, *figures(group)] for group in groups if group.changed]
    yield from folded("Blocks and roles", ("", "block", "role", *FIGURES), rows[: 10 * top])
    movers = [[code(tensor.name), *figures(tensor)] for tensor in comparison.movers()[:top]]
    yield from folded(f"The {len(movers)} tensors that moved most", ("tensor", *FIGURES), movers)
    yield from folded("Ranks of the changes", ("tensor", *RANKS), ranks(comparison, top))
    yield from (f"{sentence(factor)}.\n" for factor in comparison.factors)
    if drift.along:
        yield from inside(drift.along, top)
    if drift.words:
        yield from moved(drift.words, top)


def _verdict(comparison: Comparison, judgement: Judgement) -> Iterable[str]:
    total = comparison.total
    yield f"## {HEADS[judgement.word]}"
    yield ""
    counts = f"{total.changed:,} of {total.tensors:,} tensors changed"
    values = f"{total.sums.changed:,} of {total.sums.elements:,} values"
    yield f"{code(comparison.old)} → {code(comparison.new)}: {counts}, {values}."
    if comparison.left_out:
        yield f"{comparison.left_out:,} tensors were left out."
    if comparison.translated:
        yield f"{comparison.translated:,} have other names in one of the two, and were translated."
    yield ""
    yield from table(FIGURES, [figures(total)])
    yield from table(("", "rule", "measured", "tensors"), map(_rule, judgement.outcomes))


def ranks(comparison: Comparison, top: int) -> list[list[str]]:
    """A row for each spectrum, the strongest first."""
    strongest = sorted(comparison.spectra.items(), key=lambda item: -item[1].spectral_norm)
    return [
        [code(name), f"{s.spectral_norm:.4g}", str(s.rank), f"{s.stable_rank:.3g}",
         f"{s.effective_rank:.4g}"]
        for name, s in strongest[:top]
    ]  # fmt: skip


def inside(found: "Along", top: int) -> list[str]:
    """The share of the K/V weights' drift that lies in a subspace, most of it first."""
    rank, dim = found.basis.rows.shape
    whose = ", ".join(found.basis.concepts) or found.basis.label
    if not found.tensors:
        return [f"Along {code(whose)} no K/V weight changed.", ""]
    head = f"Along {code(whose)}, {rank} of {dim} directions (by chance {rank / dim:.1%})"
    ordered = sorted(found.tensors.items(), key=lambda item: -item[1].inside)[:top]
    parts = [("all K/V weights", found.total), *((code(name), part) for name, part in ordered)]
    rows = [[name, f"{p.inside:.2%}", f"{p.outside:.2%}", f"{p.moved:.4g}"] for name, p in parts]
    return [f"{head}, of the drift:", "", *table(("", "inside", "outside", "moved in it"), rows)]


def moved(found: "MovedWords", top: int) -> list[str]:
    """The words whose keys and values moved most."""
    if not any(word.moved for word in found.farthest):
        return [f"No key or value of {found.count:,} words moved.", ""]
    rows = [
        [code(word.word), f"{word.moved:.4f}", f"{word.keys:.4f}", f"{word.values:.4f}"]
        for word in found.farthest[: 10 * top]
    ]
    title = f"Keys and values of {found.count:,} words moved by {found.median:.4g}, in the median"
    return folded(title, ("word", "moved", "keys", "values"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return [*lines, ""]


def folded(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [f"<details><summary>{title}</summary>", "", *table(head, rows), "</details>", ""]


def figures(item: TensorDiff | Group) -> list[str]:
    """The cells under FIGURES."""
    x = item.figures
    cells = [f"{value:.4g}" for value in (x.relative, x.l2, x.l1, x.linf)]
    return [*cells, f"{x.cosine:.6f}", f"{x.changed_fraction:.2%}"]


def code(text: str) -> str:
    """A name as a code span that no character in it can leave, not even in a table."""
    shown = escape(text).replace("|", "\\|")
    runs = [len(run) for run in re.findall("`+", shown)]
    fence = "`" * (max(runs, default=0) + 1)
    return f"{fence} {shown} {fence}" if runs or not shown.strip() else f"{fence}{shown}{fence}"


def _rule(outcome: Outcome) -> list[str]:
    named = [code(name) for name in outcome.tensors[:NAMED]]
    if len(outcome.tensors) > NAMED:
        named.append(f"and {len(outcome.tensors) - NAMED} more")
    measured = "" if outcome.measured is None else f"{outcome.measured:.4g}"
    return ["✅" if outcome.passed else "❌", code(outcome.rule), measured, ", ".join(named)]
