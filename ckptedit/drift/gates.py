"""Limits on drift: what two checkpoints may differ in, and whether they keep to it.

A limit is met if `value <= limit` (for the cosine `value >= limit`), and nan meets none.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from typing import Any

from ckptedit.drift.comparison import Comparison
from ckptedit.errors import BadParam
from ckptedit.files import escape
from ckptedit.globs import compiled, matches, require_match, select

MEASURES = ("relative", "l2", "l1", "linf", "cosine", "changed_fraction")
TOTALS = (*MEASURES, "changed_tensors")
NO_CHANGE = "no tensor changes"  # the rule where no limits are given
STRUCTURE = ("added", "removed", "reshaped", "retyped")


@dataclass(frozen=True)
class Limit:
    """A bound on each tensor that a pattern picks."""

    keys: str
    value: float
    measure: str = "relative"


@dataclass(frozen=True)
class Rules:
    """What is allowed. Without total, limits, allow and baseline: nothing may differ at all."""

    total: Mapping[str, float] = field(default_factory=dict)  # one of TOTALS -> limit
    limits: Sequence[Limit] = ()
    allow: Sequence[str] = ()  # only what these patterns pick may differ
    ignore: Sequence[str] = ()  # of STRUCTURE: differences that are no failure
    baseline: Mapping[str, Any] | None = None  # an earlier report: nothing may drift farther
    slack: float = 0.01  # by this fraction it may
    keys: Sequence[str] = ()  # patterns of the tensors that are compared; all, if there are none

    def __post_init__(self) -> None:
        for measure in self.total:
            require_one_of(measure, TOTALS, "measure")
        for limit in self.limits:
            require_one_of(limit.measure, MEASURES, "measure")
        for kind in self.ignore:
            require_one_of(kind, STRUCTURE, "kind of difference")
        for pattern in [*self.keys, *self.allow, *(limit.keys for limit in self.limits)]:
            compiled(pattern.removeprefix("!"))
        for measure, value in [*self.total.items(), *((x.measure, x.value) for x in self.limits)]:
            low = -1 if measure == "cosine" else 0
            if not low <= value < inf:
                bounds = f"at least {low}, and finite"
                raise BadParam(f"the limit on {measure} is {value}; it must be {bounds}")
        if not 0 <= self.slack < inf:
            raise BadParam(f"slack is {self.slack}; it must be 0 or more, and finite")

    @property
    def strict(self) -> bool:
        return not (self.total or self.limits or self.allow or self.baseline is not None)


@dataclass(frozen=True)
class Outcome:
    """How one rule came out."""

    rule: str
    passed: bool
    measured: float | None = None  # the worst value, where the rule bounds one
    limit: float | None = None
    tensors: tuple[str, ...] = ()  # that broke the rule


@dataclass(frozen=True)
class Judgement:
    """All outcomes, and the word for them."""

    word: str  # "same"; "within" the limits; "differs", where no limits are given; "exceeded"
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        return all(outcome.passed for outcome in self.outcomes)


def require_one_of(name: str, known: Iterable[str], kind: str) -> None:
    if name not in known:
        raise BadParam(f"no {kind} is called '{escape(name)}'; there are: {', '.join(known)}")


def judge(comparison: Comparison, rules: Rules) -> Judgement:
    """Holds a report against the rules. A report that is not finite passes under no rules.

    Raises UnknownName if a pattern of the rules fits no tensor on either side.
    """
    require_matches(rules, names_of(comparison))
    outcomes = [*_structure(comparison, rules), _finite(comparison)]
    outcomes += [_total(comparison, measure, value) for measure, value in rules.total.items()]
    outcomes += [_limit(comparison, limit) for limit in rules.limits]
    if rules.allow or rules.strict:
        outcomes.append(_allow(comparison, rules.allow))
    if rules.baseline is not None:
        outcomes += _baseline(comparison, rules.baseline, rules.slack)
    passed = all(outcome.passed for outcome in outcomes)
    if passed:
        return Judgement("same" if comparison.same else "within", tuple(outcomes))
    return Judgement("differs" if rules.strict else "exceeded", tuple(outcomes))


def require_matches(rules: Rules, names: Collection[str]) -> None:
    """Raises UnknownName if a pattern of the rules fits no name. Cheap: ask before comparing."""
    for pattern in [*rules.allow, *(limit.keys for limit in rules.limits)]:
        require_match(names, pattern)


def names_of(comparison: Comparison) -> list[str]:
    """Every name on either side, compared or not: what patterns are matched against."""
    compared = [tensor.name for tensor in comparison.tensors]
    return [
        *compared,
        *comparison.added,
        *comparison.removed,
        *(x.name for x in comparison.reshaped),
    ]


def within(value: float, measure: str, limit: float) -> bool:
    """Whether a value keeps to a limit. nan never does."""
    return value >= limit if measure == "cosine" else value <= limit


def _structure(comparison: Comparison, rules: Rules) -> list[Outcome]:
    found: dict[str, dict[str, Any]] = {
        "added": dict.fromkeys(comparison.added),
        "removed": dict.fromkeys(comparison.removed),
        "reshaped": {tensor.name: tensor.as_dict() for tensor in comparison.reshaped},
        "retyped": {tensor.name: list(tensor.dtypes) for tensor in comparison.retyped},
    }
    broken = {kind: _beyond(names, kind, rules.baseline or {}) for kind, names in found.items()}
    return [
        Outcome(f"no tensor is {kind}", not names, tensors=tuple(names))
        for kind, names in broken.items()
        if kind not in rules.ignore
    ]


def _beyond(found: Mapping[str, Any], kind: str, baseline: Mapping[str, Any]) -> list[str]:
    """The names of what the baseline does not have in the same way, shapes and dtypes included."""
    known: dict[str, Any]
    if kind == "retyped":
        names = set(baseline.get(kind, []))
        tensors = [t for t in baseline.get("tensors", []) if t["name"] in names]
        known = {t["name"]: [t.get("old_dtype"), t.get("dtype")] for t in tensors}
    elif kind == "reshaped":
        known = {tensor["name"]: tensor for tensor in baseline.get(kind, [])}
    else:
        known = dict.fromkeys(baseline.get(kind, []))
    return [name for name, how in found.items() if name not in known or known[name] != how]


def _finite(comparison: Comparison) -> Outcome:
    names, left_out = tuple(comparison.nonfinite_names), comparison.left_out
    unseen = f", but for {left_out:,} tensors left out" if left_out else ""
    return Outcome(f"no value is NaN or infinite{unseen}", not names, tensors=names)


def _total(comparison: Comparison, measure: str, limit: float) -> Outcome:
    total = comparison.total
    value = total.changed if measure == "changed_tensors" else getattr(total.figures, measure)
    sign = ">=" if measure == "cosine" else "<="
    which = "the tensors compared" if comparison.left_out else "all tensors"
    rule = f"{measure} of {which} {sign} {limit:g}"
    return Outcome(rule, within(value, measure, limit), float(value), limit)


def _limit(comparison: Comparison, limit: Limit) -> Outcome:
    picked = [t for t in comparison.tensors if matches(t.name, [limit.keys])]
    values = [getattr(t.figures, limit.measure) for t in picked]
    broken = tuple(
        t.name
        for t, value in zip(picked, values, strict=True)
        if not within(value, limit.measure, limit.value)
    )
    sign, worst = (">=", min) if limit.measure == "cosine" else ("<=", max)
    measured = nan if any(value != value for value in values) else worst(values, default=None)
    rule = f"{limit.measure} of each {limit.keys} {sign} {limit.value:g}"
    return Outcome(rule, not broken, measured, limit.value, broken)


def _allow(comparison: Comparison, allow: Sequence[str]) -> Outcome:
    allowed = set(select(names_of(comparison), allow)) if allow else set()
    others = [t for t in comparison.changed if t.name not in allowed]
    broken = tuple(t.name for t in others if t.sums.changed or not t.retyped)  # has its own rule
    rule = f"only {', '.join(allow)} may change" if allow else NO_CHANGE
    return Outcome(rule, not broken, tensors=broken)


def _baseline(comparison: Comparison, baseline: Mapping[str, Any], slack: float) -> list[Outcome]:
    known = {tensor["name"]: _number(tensor["l2"]) for tensor in baseline["tensors"]}
    l2, limit = comparison.total.figures.l2, _number(baseline["total"]["l2"]) * (1 + slack)
    broken = tuple(
        t.name
        for t in comparison.changed
        if not t.figures.l2 <= known.get(t.name, 0.0) * (1 + slack)
    )
    return [
        Outcome("l2 of all tensors is at most the baseline's", l2 <= limit, l2, limit),
        Outcome("no tensor drifts farther than in the baseline", not broken, tensors=broken),
    ]


def _number(value: float | None) -> float:
    return nan if value is None else float(value)  # the JSON has null for nan
