"""What is asked for: from the words of a command to concepts, kinds and anchors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptedit.concepts.anchors import default_anchor
from ckptedit.concepts.kinds import OTHER, kind_of
from ckptedit.concepts.lexicon import lexicon
from ckptedit.concepts.names import distinct, normal
from ckptedit.concepts.neighbors import nearest, same_concept, without
from ckptedit.concepts.targets import Target, erased
from ckptedit.concepts.templates import KINDS, require_kind
from ckptedit.errors import BadParam
from ckptedit.families import Family
from ckptedit.text.encoder import TextEncoder

COMPANIONS = 24  # concepts of a kind that prompts of the other kind are completed with

Names = Mapping[str, tuple[str, ...]]  # kind -> concepts of that kind


@dataclass(frozen=True)
class Request:
    """What will be done.

    targets:    to erase now, each with its kind and anchor; earlier: erased before, by the ledger
    retain:     of the targets' kinds: concepts that must stay
    companions: concepts that prompts of the other kind's targets are completed with; they stay too
    """

    targets: tuple[Target, ...]
    earlier: tuple[Target, ...]
    retain: Names
    companions: Names

    @property
    def kind(self) -> str:
        """ "style", "object", or "mixed" """
        kinds = {target.kind for target in self.targets}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def wanted(self) -> Names:
        """The targets' names by kind."""
        return {k: tuple(t.concept for t in self.targets if t.kind == k) for k in KINDS}

    @property
    def retained(self) -> tuple[str, ...]:
        """`retain` without the kinds."""
        return tuple(name for kind in KINDS for name in self.retain[kind])


@dataclass(frozen=True)
class Wish:
    """What the user said.

    kind:    "style", "object" or "auto": each concept's own
    anchor:  "": the default one
    lexicon: a file of concepts to look for neighbours in and to leave alone, with [style] and
             [object] sections
    """

    concepts: Sequence[str]
    kind: str = "auto"
    anchor: str = ""
    retain: Sequence[str] = ()
    neighbors: int = 8
    lexicon: Path | None = None


def resolve(
    wish: Wish, encoder: TextEncoder, family: Family, ledger: Sequence[Mapping[str, Any]]
) -> Request:
    """Fills in what the user left open. Raises BadParam for what cannot be meant."""
    concepts, asked = (
        distinct(word.strip() for word in words) for words in (wish.concepts, wish.retain)
    )
    if not concepts:
        raise BadParam("name at least one concept to erase")
    for concept in (*concepts, *asked, *([wish.anchor] if wish.anchor else [])):
        encoder.require_concept(concept)
    if wish.kind != "auto":
        require_kind(wish.kind)
    kinds = {
        concept: kind_of(concept, encoder, family) if wish.kind == "auto" else wish.kind
        for concept in concepts
    }
    before = erased(ledger)
    _refuse_overlap(concepts, asked, wish.anchor, before, encoder)
    earlier = tuple(
        target
        for target in before
        if not any(same_concept(encoder, target.concept, concept) for concept in concepts)
    )
    gone = [*(target.concept for target in before), *concepts]
    retain, companions = _what_stays(asked, kinds, wish, encoder, family, gone)
    targets = tuple(
        Target(c, kind, wish.anchor or default_anchor(c, kind, encoder, family, gone))
        for c, kind in kinds.items()
    )
    return Request(targets, earlier, retain, companions)


def _what_stays(
    asked: Sequence[str],
    kinds: Mapping[str, str],
    wish: Wish,
    encoder: TextEncoder,
    family: Family,
    gone: Sequence[str],
) -> tuple[Names, Names]:
    """Retained concepts of the targets' kinds, with the nearest ones; companions of the others.

    asked: to retain; kinds: of the targets; gone: names of what is, or was, erased
    """
    known = {
        kind: {normal(word): word for word in without(encoder, lexicon(kind, family), gone)}
        for kind in KINDS
    }
    targets = {kind: [c for c, k in kinds.items() if k == kind] for kind in KINDS}
    named: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for word in asked:  # what no lexicon knows is taken to be of the first target's kind
        mine = next(iter(kinds.values()))
        named[OTHER[mine] if _is_only(normal(word), OTHER[mine], known) else mine].append(word)
    retain: dict[str, tuple[str, ...]] = dict.fromkeys(KINDS, ())
    companions = dict(retain)
    taken = {normal(word) for word in (*asked, wish.anchor)}
    for kind in KINDS:
        if targets[kind]:
            near = [word for form, word in known[kind].items() if form not in taken]
            found = nearest(encoder, targets[kind], near, count=wish.neighbors)
            retain[kind] = (*named[kind], *(neighbor.concept for neighbor in found))
        if targets[OTHER[kind]]:
            others = list(known[kind].values())
            spread = others[:: max(1, len(others) // COMPANIONS)]
            company = named[kind] if not targets[kind] else []
            most = max(COMPANIONS, len(company))
            companions[kind] = tuple(distinct([*company, *spread])[:most])
    return retain, companions


def _is_only(form: str, kind: str, known: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the lexicon has a name as this kind and as no other."""
    return form in known[kind] and form not in known[OTHER[kind]]


def _refuse_overlap(
    concepts: Sequence[str],
    asked: Sequence[str],
    anchor: str,
    before: Sequence[Target],
    encoder: TextEncoder,
) -> None:
    for concept in concepts:
        for kept in asked:
            if same_concept(encoder, concept, kept):
                raise BadParam(f"{kept!r} cannot be retained: it names the target {concept!r}")
        if anchor and same_concept(encoder, concept, anchor):
            raise BadParam(f"the anchor {anchor!r} names the target {concept!r} itself")
    for target in before:
        for kept in asked:
            if same_concept(encoder, target.concept, kept):
                raise BadParam(f"{kept!r} cannot be retained: {target.concept!r} was erased before")
        if anchor and same_concept(encoder, target.concept, anchor):
            raise BadParam(f"the anchor {anchor!r} cannot be drawn: {target.concept!r} was erased")
