"""Answers to figures: UA, RA-I and RA-C, per concept, with intervals; and differences of two."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ckptedit.concepts.names import normal
from ckptedit.concepts.templates import OTHER
from ckptedit.evaluation.fidelity import Fidelity
from ckptedit.evaluation.intervals import FEW, Interval, interval
from ckptedit.evaluation.suite import Cell, Suite

FIGURES = ("ua", "ra_i", "ra_i_shown", "ra_i_unseen", "ra_c", "clip_erased", "clip_retained",
           "detector_erased", "detector_retained")  # fmt: skip


@dataclass(frozen=True)
class ConceptScore:
    """accuracy: share of the concept's n pictures in which the judge sees it."""

    concept: str
    kind: str
    role: str  # "erased", "shown" (retained, and a guard was told of it) or "unseen" (retained)
    accuracy: float
    n: int
    interval: Interval | None = None  # of 95 %, over pictures


@dataclass(frozen=True)
class Difference:
    """Of two checkpoints' figures on the same cells from the same noise: this one less the other.

    interval: of 95 %, of the differences picture by picture
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Scores:
    """Shares in 0..1, None where there is nothing to count.

    ua:   of the erased concepts' pictures, those without the concept (unlearning accuracy)
    ra_i: of retained concepts of the same kind, those with it (retain accuracy, in-domain), and the
          same for those that a guard was shown and those it was not
    ra_c: of all pictures of a retained concept of the other kind, those with it (cross-domain)
    clip_erased, clip_retained: mean cosine in -1..1 of a picture and its prompt, where the prompt
          names an erased concept, and where it does not; detector_...: the same of its scores
    intervals: figure -> the lower and upper end of 95 %; resampled: the unit that was drawn again
    against: figures of the other checkpoint; differences: this one's less those
    fidelity: KID and FID of the pictures that name nothing erased
    As in UnlearnCanvas (Zhang et al., 2024, https://arxiv.org/abs/2402.11846).
    """

    ua: float | None
    ra_i: float | None
    ra_i_shown: float | None
    ra_i_unseen: float | None
    ra_c: float | None
    clip_erased: float | None
    clip_retained: float | None
    per_concept: list[ConceptScore]
    n: int
    detector_erased: float | None = None
    detector_retained: float | None = None
    intervals: dict[str, Interval] = field(default_factory=dict)
    resampled: dict[str, str] = field(default_factory=dict)
    against: dict[str, float | None] | None = None
    differences: dict[str, Difference] | None = None
    fidelity: Fidelity | None = None


@dataclass(frozen=True)
class Drawn:
    """A picture that was asked for, what the judge sees in it, and how well it fits its prompt.

    None is what nobody looked for.
    """

    cell: Cell
    style: str | None
    object: str | None
    fit: float | None = None  # cosine
    detector: float | None = None
    features: str | None = None  # as `fidelity.packed` has them

    def shows(self, kind: str) -> float | None:
        seen = getattr(self, kind)
        return None if seen is None else float(seen == getattr(self.cell, kind))


@dataclass(frozen=True)
class Rows:
    """The values that a figure is the mean of, concept by concept; see `intervals.interval`."""

    groups: list[list[float]]
    whole: bool = False
    pooled: bool = False
    share: bool = True

    @property
    def mean(self) -> float | None:
        if self.pooled:
            return _mean(value for group in self.groups for value in group)
        return _mean(sum(group) / len(group) for group in self.groups)

    @property
    def unit(self) -> str:
        if not self.share:
            return "prompt" if len(self.groups) >= FEW else "picture"
        return "concept" if self.whole and len(self.groups) >= FEW else "picture"

    def interval(self) -> Interval | None:
        return self._interval((0.0, 1.0))

    def less(self, other: "Rows") -> Interval | None:
        """The interval of the difference: both have the same cells in the same order."""
        pairs = [zip(*both, strict=True) for both in zip(self.groups, other.groups, strict=True)]
        moved = [[mine - theirs for mine, theirs in pair] for pair in pairs]
        return Rows(moved, self.whole, self.pooled, self.share)._interval((-1.0, 1.0))

    def _interval(self, within: Interval) -> Interval | None:
        limits = within if self.share else None
        return interval(self.groups, whole=self.whole, pooled=self.pooled, within=limits)


def score(
    drawn: Sequence[Drawn],
    suite: Suite,
    shown: set[str],
    against: Sequence[Drawn] | None = None,
) -> Scores:
    """Counts. shown: retained concepts that a guard was told of, in normal form.

    against: the same cells, drawn by another checkpoint
    """
    rows = rows_of(drawn, suite, shown)
    means: dict[str, Any] = {name: rows[name].mean for name in FIGURES}
    found = {name: rows[name].interval() for name in FIGURES}
    intervals = {name: ends for name, ends in found.items() if ends is not None}
    others = differences = None
    if against is not None:
        theirs = rows_of(against, suite, shown)
        others = {name: theirs[name].mean for name in FIGURES}
        differences = {
            name: Difference(mine - other, rows[name].less(theirs[name]))
            for name in FIGURES
            if (mine := means[name]) is not None and (other := others[name]) is not None
        }
    return Scores(
        **means,
        per_concept=per_concept(drawn, suite, shown),
        n=len(drawn),
        intervals=intervals,
        resampled={name: rows[name].unit for name in intervals},
        against=others,
        differences=differences,
    )


def per_concept(drawn: Sequence[Drawn], suite: Suite, shown: set[str]) -> list[ConceptScore]:
    found = []
    for kind, names in _kinds(suite).items():
        for name in names:
            hits = _hits(drawn, kind, name, suite.erased)
            if hits:
                ends, role = interval([hits]), _role(name, suite, shown)
                accuracy = sum(hits) / len(hits)
                found.append(ConceptScore(name, kind, role, accuracy, len(hits), ends))
    return found


def rows_of(drawn: Sequence[Drawn], suite: Suite, shown: set[str]) -> Mapping[str, Rows]:
    """What each of FIGURES is the mean of."""
    kinds = _kinds(suite)
    edited = [kind for kind, names in kinds.items() if set(names) & set(suite.erased)]
    of_kind: dict[str, list[list[float]]] = {"erased": [], "shown": [], "unseen": []}
    for kind in edited or kinds:
        for name in kinds[kind]:
            if hits := _hits(drawn, kind, name, suite.erased):
                of_kind[_role(name, suite, shown)].append(hits)
    gone = [[1 - hit for hit in hits] for hits in of_kind["erased"]]
    fits = _by_prompt(drawn, suite, "fit")
    detected = _by_prompt(drawn, suite, "detector")
    return {
        "ua": Rows(gone),
        "ra_i": Rows(of_kind["shown"] + of_kind["unseen"], whole=True),
        "ra_i_shown": Rows(of_kind["shown"], whole=True),
        "ra_i_unseen": Rows(of_kind["unseen"], whole=True),
        "ra_c": Rows(_cross(drawn, suite, edited), whole=True, pooled=True),
        "clip_erased": fits[True],
        "clip_retained": fits[False],
        "detector_erased": detected[True],
        "detector_retained": detected[False],
    }


def _kinds(suite: Suite) -> dict[str, tuple[str, ...]]:
    return {"style": suite.styles, "object": suite.objects}


def _role(name: str, suite: Suite, shown: set[str]) -> str:
    if name in suite.erased:
        return "erased"
    return "shown" if normal(name) in shown else "unseen"


def _hits(drawn: Sequence[Drawn], kind: str, name: str, erased: Sequence[str]) -> list[float]:
    """Of the pictures of a concept beside a companion that is not erased: 1 where it is seen."""
    mine = [
        d.shows(kind)
        for d in drawn
        if getattr(d.cell, kind) == name and getattr(d.cell, OTHER[kind]) not in erased
    ]
    return [hit for hit in mine if hit is not None]


def _cross(drawn: Sequence[Drawn], suite: Suite, edited: Sequence[str]) -> list[list[float]]:
    """By the head that is not about what was erased, erased prompts included."""
    groups = []
    for head in [OTHER[kind] for kind in edited]:
        for name in _kinds(suite)[head]:
            mine = [d.shows(head) for d in drawn if getattr(d.cell, head) == name]
            if name not in suite.erased and (hits := [hit for hit in mine if hit is not None]):
                groups.append(hits)
    return groups


def names_erased(cell: Cell, suite: Suite) -> bool:
    return cell.style in suite.erased or cell.object in suite.erased


def _by_prompt(drawn: Sequence[Drawn], suite: Suite, column: str) -> dict[bool, Rows]:
    """Values prompt by prompt: of prompts that name something erased (True), and of the rest."""
    groups: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    for d in drawn:
        named = names_erased(d.cell, suite)
        if (value := getattr(d, column)) is not None:
            groups[named].setdefault(d.cell.prompt, []).append(value)
    return {
        named: Rows(list(found.values()), whole=True, pooled=True, share=False)
        for named, found in groups.items()
    }


def _mean(values: Iterable[float]) -> float | None:
    counted = list(values)
    return sum(counted) / len(counted) if counted else None
