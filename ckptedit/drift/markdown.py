"""A report as Markdown that fits into a comment on a pull request."""

import re
from collections.abc import Iterable, Sequence

from ckptedit.drift.gates import Judgement, Verdict
from ckptedit.drift.report import Group, Report, TensorDiff, sentence
from ckptedit.files import escape

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


def as_markdown(report: Report, judgement: Judgement, top: int = 20) -> str:
    """The verdict, the totals and the rules; folded away, blocks, roles and the top movers.

    top: how many tensors are listed at most; fewer, if the text would not fit
    """
    while True:
        text = "\n".join(_lines(report, judgement, top)) + "\n"
        if len(text) <= LIMIT:
            return text
        if top == 0:
            return text[: text.rindex("\n", 0, LIMIT - len(CUT))] + CUT
        top //= 2


def _lines(report: Report, judgement: Judgement, top: int) -> Iterable[str]:
    total = report.total
    yield f"## {HEADS[judgement.word]}"
    yield ""
    counts = f"{total.changed:,} of {total.tensors:,} tensors changed"
    values = f"{total.sums.changed:,} of {total.sums.elements:,} values"
    yield f"{code(report.old)} → {code(report.new)}: {counts}, {values}."
    yield ""
    yield from table(FIGURES, [figures(total)])
    yield from table(("", "rule", "measured", "tensors"), map(_rule, judgement.verdicts))
    groups = report.grouped(lambda t: (t.component, t.block, t.role))
    rows = [[*group.key, *figures(group)] for group in groups if group.changed]
    yield from folded("Blocks and roles", ("", "block", "role", *FIGURES), rows[: 10 * top])
    movers = [[code(tensor.name), *figures(tensor)] for tensor in report.movers()[:top]]
    yield from folded(f"The {len(movers)} tensors that moved most", ("tensor", *FIGURES), movers)
    yield from folded("Ranks of the changes", ("tensor", *RANKS), ranks(report, top))
    yield from (f"{sentence(factor)}.\n" for factor in report.factors)


def ranks(report: Report, top: int) -> list[list[str]]:
    """A row for each spectrum, the strongest first."""
    strongest = sorted(report.spectra.items(), key=lambda item: -item[1].spectral_norm)
    return [
        [code(name), f"{s.spectral_norm:.4g}", str(s.rank), f"{s.stable_rank:.3g}",
         f"{s.effective_rank:.4g}"]
        for name, s in strongest[:top]
    ]  # fmt: skip


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


def _rule(verdict: Verdict) -> list[str]:
    named = [code(name) for name in verdict.tensors[:NAMED]]
    if len(verdict.tensors) > NAMED:
        named.append(f"and {len(verdict.tensors) - NAMED} more")
    measured = "" if verdict.measured is None else f"{verdict.measured:.4g}"
    return ["✅" if verdict.passed else "❌", code(verdict.rule), measured, ", ".join(named)]
