"""A budget of drift: how far the weights may be from the original, and what to try beyond it.

The ladder of `--on-drift retry`, each rung with all before it:

- of a training: the tool's default guards beside those in use; half the steps; a quarter of them;
- of a closed form: its change scaled down to what is left of the budget, as long as that still
  erases HALF of the targets.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ckptedit import guards
from ckptedit.erasure.options import Options
from ckptedit.errors import BadParam, CkptError, LimitExceeded

ON_DRIFT = ("stop", "retry")
HALF = 0.5
AS_ASKED = "as asked"

T = TypeVar("T")
Tighter = Mapping[str, Any]  # keywords of `erase`, in addition


@dataclass(frozen=True)
class Try:
    """How a request was tried, and the drift that came of it; None if it could not be done so."""

    how: str
    drift: float | None


@dataclass(frozen=True)
class Budget:
    """limit: the largest ‖ΔW‖ / ‖W‖ from the original, above 0; retry: whether to climb on"""

    limit: float
    retry: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.limit < float("inf"):
            raise BadParam(f"max_drift must be above 0, not {self.limit}")


@dataclass
class Spent:
    """What became of one request under a budget."""

    budget: Budget
    tries: list[Try] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        last = self.tries[-1].drift if self.tries else None
        return last is not None and last <= self.budget.limit

    def as_fact(self) -> dict[str, Any]:
        outcome = ("kept" if len(self.tries) == 1 else "retried") if self.kept else "stopped"
        tried = [{"how": each.how, "drift": each.drift} for each in self.tries]
        return {"limit": self.budget.limit, "outcome": outcome, "tried": tried}


def within(
    budget: Budget,
    attempt: Callable[[Tighter], tuple[T, float]],
    options: Callable[[], Options],
    before: float,
) -> tuple[T | None, Spent]:
    """What the first try gives that stays within the budget, None if none does.

    attempt: with more options: (what came of it, its drift)
    options: those of the request, resolved; before: the drift that the request starts from
    """
    spent = Spent(budget)
    for how, tighter in _rungs(budget, options, before):
        try:
            made, drift = attempt(tighter)
        except LimitExceeded:
            spent.tries.append(Try(how, None))
            continue
        spent.tries.append(Try(how, drift))
        if spent.kept:
            return made, spent
    return None, spent


def _rungs(
    budget: Budget, options: Callable[[], Options], before: float
) -> Iterator[tuple[str, Tighter]]:
    yield AS_ASKED, {}
    if budget.retry:
        yield from ladder(options(), budget.limit - before)


def ladder(options: Options, left: float) -> list[tuple[str, Tighter]]:
    """The rungs above the first: what each is called, and the options it adds."""
    if not options.trained:
        if left <= 0:
            return []
        return [(f"scaled to a drift of {left:.4g}", {"max_drift": left, "min_erase": HALF})]
    guarded = tuple(dict.fromkeys((*options.guarded_by, *guards.DEFAULT)))
    try:
        replace(options, guards=guarded).check()
    except CkptError:
        guarded = tuple(options.guarded_by)
    found: list[tuple[str, Tighter]] = []
    if guarded != tuple(options.guarded_by):
        found.append((f"with {' and '.join(guarded)}", {"guards": guarded}))
    for share in (2, 4):
        if steps := options.steps // share:
            found.append((f"with {' and '.join(guarded) or 'no guard'}, {steps} steps",
                          {"guards": guarded, "steps": steps}))  # fmt: skip
    return found
