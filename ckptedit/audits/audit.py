"""From two checkpoints and a concept to what each probe found."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ckptedit.audits import PROBES, QUICK
from ckptedit.audits.pair import original_and_edited
from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import subject
from ckptedit.concepts.anchors import default_anchor
from ckptedit.concepts.kinds import kind_of
from ckptedit.concepts.lexicon import Lexicon, lexicon_of
from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.names import distinct
from ckptedit.concepts.private import is_hidden, stands_for, tells_of
from ckptedit.concepts.spelling import meant, respelled
from ckptedit.concepts.targets import Target, erased
from ckptedit.concepts.templates import require_kind
from ckptedit.deltas.overlay import Overlay
from ckptedit.errors import BadParam
from ckptedit.evaluation.world import world_for
from ckptedit.families import Family, detect
from ckptedit.families.runnable import require_runnable
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, require_weights
from ckptedit.files.history import trunk
from ckptedit.params import typed
from ckptedit.progress import Track, silent
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.load import load_text_encoder

log = logging.getLogger("ckptedit")


@dataclass(frozen=True)
class Kept:
    """How a limit came out. value: None where the probe has no such figure."""

    name: str
    probe: str
    figure: str
    limit: float
    value: float | None
    kept: bool


@dataclass(frozen=True)
class Audit:
    """What an audit of one concept found.

    concept, kind, anchor: the target; aliases: other names of it, by the user
    findings: by probe; limits: those that were set
    """

    concept: str
    kind: str
    anchor: str
    aliases: tuple[str, ...]
    findings: Mapping[str, Finding]
    limits: tuple[Kept, ...]

    @property
    def passed(self) -> bool:
        """Whether every limit is kept; it is, where none is set."""
        return all(each.kept for each in self.limits)

    @property
    def worst(self) -> str | None:
        """The probe by which most of the concept comes back; None if none is about that."""
        told = {name: found.left for name, found in self.findings.items() if found.left is not None}
        return max(told, key=lambda name: told[name]) if told else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "concept": self.concept, "kind": self.kind, "anchor": self.anchor,
            "aliases": list(self.aliases), "passed": self.passed, "worst": self.worst,
            "limits": [asdict(each) for each in self.limits],
            "probes": {
                name: {"by": PROBES[name].by, **found.as_dict()}  # type: ignore[attr-defined]
                for name, found in self.findings.items()
            },
        }  # fmt: skip


def audit(
    checkpoint: str | Path | Checkpoint,
    concept: str | None = None,
    *,
    original: str | Path | Checkpoint | None = None,
    probes: str | Sequence[str] = (),
    deep: bool = False,
    aliases: str | Sequence[str] = (),
    kind: str = "auto",
    anchor: str = "",
    limits: Mapping[str, float] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    device: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    track: Track = silent,
) -> Audit:
    """Asks probes whether a concept is gone from an edited checkpoint.

    checkpoint: or a delta, which is then what `original` is with it
    concept:    default: the one that its ledger says is erased
    original:   what it was before the edit; every probe compares with it
    probes:     names of PROBES; none: QUICK; deep: all that this family can answer
    aliases:    other names of the concept
    kind, anchor: default: as the ledger says, else as `erase` would choose
    limits:     by the names of `bounds`, such as {"max_residual": 0.5}; a limit's probe is asked
    params:     probe -> its own keyword arguments
    tokenizer, clip_skip: as in `open_model`
    Raises BadParam before anything is read if it can be known.
    """
    held = dict(limits or {})
    chosen = chosen_probes(one_or_more(probes), deep, held)
    asked = made(chosen, params or {})
    with original_and_edited(original, checkpoint) as (before, after):
        require_weights(before, after)
        family = detect(before)
        asked = answerable(asked, before, after, given=one_or_more(probes), held=held)
        gone = _named(concept, after)
        _require_original(gone, before, after)
        encoder = load_text_encoder(before, family, tokenizer=tokenizer, clip_skip=clip_skip)
        lexicon = lexicon_of(family)
        target = _target(gone, kind, anchor, after, encoder, lexicon, family)
        others = tuple(each for each in distinct(one_or_more(aliases)) if each != target.concept)
        for name in others:
            encoder.require_concept(name)
        about = subject(
            target, after, before, family, encoder=encoder, lexicon=lexicon, aliases=others,
            device=device, seed=seed, track=track,
        )  # fmt: skip
        findings = {name: probe.run(about, track) for name, probe in asked.items()}
    return Audit(target.concept, target.kind, target.anchor, others, findings,
                 tuple(outcomes(findings, held)))  # fmt: skip


def bounds() -> dict[str, tuple[str, Bound]]:
    """Every limit that may be set: its name -> the probe, and the figure it is on."""
    found = {}
    for name in PROBES:
        kind: Any = PROBES[name]
        found.update({option: (name, bound) for option, bound in kind.bounds.items()})
    return found


def chosen_probes(given: Sequence[str], deep: bool, limits: Mapping[str, float]) -> list[str]:
    """The probes to ask, in the order of PROBES, those of the limits among them."""
    known = bounds()
    for name in limits:
        if name not in known:
            raise BadParam(f"no limit is called {name!r}; there are: {', '.join(known)}")
    for name in given:
        PROBES[name]  # raises UnknownName
    wanted = {*(PROBES if deep else given or QUICK), *given, *(known[name][0] for name in limits)}
    return [name for name in PROBES if name in wanted]


def made(names: Sequence[str], params: Mapping[str, Mapping[str, Any]]) -> dict[str, Probe]:
    """The probes with their parameters. Raises BadParam for those of a probe that is not asked."""
    for owner in params:
        if owner not in names:
            raise BadParam(f"{owner!r} is none of the probes asked here: {', '.join(names)}")
    return {name: PROBES[name](**typed(PROBES[name], params.get(name, {}), name)) for name in names}


def answerable(
    probes: Mapping[str, Probe],
    before: Checkpoint,
    after: Checkpoint,
    *,
    given: Sequence[str],
    held: Mapping[str, float],
) -> dict[str, Probe]:
    """The probes without those that this family has no answer to, which --deep asked for only.

    Raises BadParam if such a one was named, or a limit is on it.
    """
    wanted = {*given, *(bounds()[name][0] for name in held)}
    found = {}
    for name, probe in probes.items():
        try:
            if probe.runs:
                require_runnable(before)
                require_runnable(after)
            if probe.judged:
                world_for(before)
        except BadParam as error:
            if name in wanted:
                error.add_note(f"--probe {name}")
                raise
            log.warning("%s is left out: %s", name, error)
            continue
        found[name] = probe
    return found


def outcomes(findings: Mapping[str, Finding], limits: Mapping[str, float]) -> list[Kept]:
    """How each limit came out."""
    found = []
    for name, limit in limits.items():
        probe, bound = bounds()[name]
        value = findings[probe].figures.get(bound.figure)
        found.append(Kept(name, probe, bound.figure, limit, value, bound.keeps(value, limit)))
    return found


def history(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """The ledger of a checkpoint; of a base with a delta, what was done to either."""
    more = checkpoint.delta.ledger if isinstance(checkpoint, Overlay) else []
    return [*checkpoint.ledger, *more]


def _named(concept: str | None, after: Checkpoint) -> str:
    if concept is not None:
        return concept
    gone = [target.concept for target in erased(history(after))]
    if len(gone) == 1 and not is_hidden(gone[0]):
        return gone[0]
    said = f"has {len(gone)} erased concepts" if gone else "tells of no erased concept"
    raise BadParam(f"the ledger of {after.label} {said}: name the one to audit with --concept")


def _require_original(concept: str, before: Checkpoint, after: Checkpoint) -> None:
    """Raises BadParam if the concept was gone before; notes an original that no entry names."""
    if tells_of(before.ledger, concept):
        raise BadParam(
            f"{before.label} has {concept!r} erased already, by its own ledger: give what it was "
            "before that as --original"
        )
    lines = trunk(history(after))
    parents = {str(line.get("parent_sha256")) for line in lines}
    if lines and before.data_sha256() not in parents:
        log.warning("the ledger of %s does not name %s", after.label, before.label)


def _target(
    concept: str,
    kind: str,
    anchor: str,
    after: Checkpoint,
    encoder: TextEncoder,
    lexicon: Lexicon,
    family: Family,
) -> Target:
    """The concept as the ledger has it, or as an erasure would take it."""
    told = next((t for t in erased(history(after)) if stands_for(t.concept, concept)), None)
    if told is None:
        concept = respelled(concept, lexicon)
        if like := meant(concept, lexicon, encoder.is_word):
            raise BadParam(
                f"nothing says that {concept!r} was erased; did you mean {like!r}? A misspelling "
                "of it is an --alias"
            )
        log.warning("the ledger of %s does not say that %r was erased", after.label, concept)
    elif not is_hidden(told.concept):
        concept = told.concept
    encoder.require_concept(concept)
    if kind != "auto":
        require_kind(kind)
    elif told is not None:
        kind = told.kind
    else:
        kind = kind_of(concept, encoder, lexicon)
    if not anchor and told is not None:
        if is_hidden(told.anchor):
            raise BadParam(f"the ledger hides the anchor of {concept!r}: name it with --anchor")
        anchor = told.anchor
    usual = family.anchors.of(kind)
    anchor = anchor or default_anchor(concept, kind, encoder, lexicon, usual=usual, gone=[concept])
    encoder.require_concept(anchor)
    return Target(concept, kind, anchor)
