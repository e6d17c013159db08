"""From two paths to a verdict."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ckptedit.drift.compare import compare, compared
from ckptedit.drift.comparison import Comparison, Group, TensorDiff
from ckptedit.drift.gates import Judgement, Limit, Outcome, Rules, judge, require_matches
from ckptedit.drift.rulefile import load_baseline, load_rules, parse_limit, require_report
from ckptedit.errors import BadParam
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, opened, require_weights
from ckptedit.progress import Track, silent

if TYPE_CHECKING:
    from ckptedit.drift.along import Along
    from ckptedit.drift.question import Question
    from ckptedit.drift.words import MovedWords

T = TypeVar("T")

DELTA = "ckptedit.format"  # FORMAT of `ckptedit.deltas`, of which an import would load numpy


@dataclass(frozen=True)
class Drift:
    """What two checkpoints differ in, and how that came out under the rules.

    along: how much of it lies in a subspace; words: what it moves; None unless asked for
    """

    comparison: Comparison
    judgement: Judgement
    rules: Rules
    along: "Along | None" = None
    words: "MovedWords | None" = None

    @property
    def verdict(self) -> str:
        """`same`; `within` the limits; `differs`, where none are given; or `exceeded`."""
        return self.judgement.word

    @property
    def passed(self) -> bool:
        """Whether every rule is kept: what the exit status of the command tells."""
        return self.judgement.passed

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """How each rule came out."""
        return self.judgement.outcomes

    @property
    def same(self) -> bool:
        """Whether every tensor is there on both sides, byte for byte, and finite."""
        return self.comparison.same

    @property
    def total(self) -> Group:
        """Over every tensor compared; `total.figures.relative` is the relative L2."""
        return self.comparison.total

    @property
    def changed(self) -> list[TensorDiff]:
        """The tensors that changed, in file order."""
        return self.comparison.changed

    def as_dict(self) -> dict[str, Any]:
        """What `diff --json` prints."""
        gates = [asdict(outcome) for outcome in self.outcomes]
        return {
            **self.comparison.as_dict(),
            "along": self.along and self.along.as_dict(),
            "words": self.words and self.words.as_dict(),
            "verdict": self.verdict,
            "gates": gates,
        }


@contextmanager
def both_opened(
    old: str | Path | Checkpoint, new: str | Path | Checkpoint
) -> Iterator[tuple[Checkpoint, Checkpoint]]:
    """Yields two checkpoints, and closes those that were given as paths.

    Where the new one is a delta of this tool, it is what the old one becomes with it.
    """
    if str(old) == str(new) == "-":
        raise BadParam("only one of the two checkpoints can be read from stdin")
    with opened(old) as before, opened(new) as after:
        if DELTA in after.metadata and DELTA not in before.metadata:
            from ckptedit.deltas.overlay import Overlay

            after = Overlay(before, after)
        yield before, after


def under_one_naming(old: Checkpoint, new: Checkpoint) -> tuple[Checkpoint, Checkpoint, int]:
    """Both with one model's tensors under one name, and of how many that is new.

    Views of the open files, or themselves if one has no name that the other lacks.
    """
    common = len(old.keys() & new.keys())
    if common in (len(old), len(new)):
        return old, new, 0
    from ckptedit.families import spelled_like

    ways = [(old, spelled_like(new, old)), (spelled_like(old, new), new)]
    shared = [len(before.keys() & after.keys()) for before, after in ways]
    best = shared.index(max(shared))
    return *ways[best], shared[best] - common


def diff(
    old: str | Path | Checkpoint,
    new: str | Path | Checkpoint,
    *,
    keys: str | Sequence[str] = (),
    max_relative: float | None = None,
    max_l2: float | None = None,
    max_abs: float | None = None,
    limits: str | Sequence[str | Limit] = (),
    allow: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    rules: Rules | str | Path | None = None,
    baseline: Mapping[str, Any] | str | Path | None = None,
    spectral: bool = False,
    along: Checkpoint | str | Path | None = None,
    words: int = 0,
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    threads: int = 2,
    track: Track = silent,
) -> Drift:
    """Compares two checkpoints and holds what it found against rules: without any, nothing may
    differ.

    old, new: files, indexes of shards or folders, of which one may be `-`, for stdin; or
              checkpoints that are open, and stay so. A delta as `new` is what `old` is with it
    keys:     a pattern, or several, of the tensors that are compared (`ckptedit.globs`); else all
    max_relative, max_l2, max_abs: limits on the relative L2, the L2 and the largest change of all
              tensors together, each 0 or more
    limits:   on each tensor that a pattern picks: "cond_stage_model.**=0", or a `Limit`
    allow:    patterns of the tensors that may change; all others not by a bit
    ignore:   of added, removed, reshaped, retyped: differences that are accepted
    rules:    more of them, or a TOML file of them (`ckptedit.drift.rulefile`)
    baseline: an earlier report (`as_dict()`), or the JSON file of one: nothing may drift farther
    spectral: whether to measure the ranks of what changed, which takes longer
    along:    the file of a subspace: how much of the K/V weights' drift lies inside and outside
    words:    how many to list of those whose keys and values moved most; read by the old one's text
              encoder
    tokenizer, clip_skip: how it reads them, as in `load_text_encoder`
    threads:  1 or more; the figures are the same for any number
    A single file and a diffusers folder of one model are compared under the names of the first, or
    of the second if that has q, k and v apart.
    Raises BadCheckpoint, BadParam or UnknownName, before reading any tensor if it can be known.
    """
    total = {"relative": max_relative, "l2": max_l2, "linf": max_abs}
    held = together(
        rules, total, limits=limits, keys=keys, allow=allow, ignore=ignore, baseline=baseline
    )
    with both_opened(old, new) as sides:
        before, after, translated = under_one_naming(*sides)
        require_matches(held, compared(before, after, held.keys))
        asked = question(before, along, words, {"tokenizer": tokenizer, "clip_skip": clip_skip})
        comparison = compare(before, after, keys=held.keys, threads=threads, track=track)
        comparison = replace(comparison, translated=translated)
        if not comparison.equal:  # of codes only this can be told
            require_weights(before, after)
        if spectral:
            from ckptedit.drift.spectra import with_spectra

            comparison = with_spectra(comparison, before, after, track=track)
        answers = asked(comparison, after, track) if asked else ()
    return Drift(comparison, judge(comparison, held), held, *answers)


def question(
    old: Checkpoint,
    along: Checkpoint | str | Path | None,
    words: int,
    reading: Mapping[str, Any],
) -> "Question | None":
    """What is asked about the K/V weights, if anything is, and checked as far as headers tell."""
    if along is None and not words:
        return None
    from ckptedit.drift.question import Question

    return Question(old, along, words, reading)


def together(
    rules: Rules | str | Path | None,
    total: Mapping[str, float | None],
    *,
    limits: str | Sequence[str | Limit],
    keys: str | Sequence[str],
    allow: str | Sequence[str],
    ignore: str | Sequence[str],
    baseline: Mapping[str, Any] | str | Path | None,
) -> Rules:
    """Rules, or those of a file, and beside them what else is given. See `diff`.

    total: limits by measure, None where there is none; they take the place of those in the rules
    Raises BadParam if a file cannot be read, or a rule has no meaning.
    """
    if not isinstance(rules, Rules):
        rules = load_rules(rules) if rules else Rules()
    if isinstance(baseline, str | Path):
        baseline = load_baseline(baseline)
    elif baseline is not None:
        require_report(baseline, "the baseline")
    given = {measure: value for measure, value in total.items() if value is not None}
    more = [limit if isinstance(limit, Limit) else parse_limit(limit) for limit in several(limits)]
    return replace(
        rules,
        total={**rules.total, **given},
        limits=[*rules.limits, *more],
        baseline=rules.baseline if baseline is None else baseline,
        keys=[*rules.keys, *several(keys)],
        allow=[*rules.allow, *several(allow)],
        ignore=[*rules.ignore, *several(ignore)],
    )


def several(values: str | Sequence[T]) -> Sequence[str | T]:
    """One string is a list of one, not of its characters."""
    return [values] if isinstance(values, str) else values
