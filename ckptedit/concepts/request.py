"""What is asked for: from the words of a command to concepts and anchors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import lexicon
from ckptedit.concepts.neighbors import nearest, same_concept
from ckptedit.concepts.targets import Target, erased
from ckptedit.concepts.templates import anchor_for, require_kind
from ckptedit.errors import BadParam
from ckptedit.families import Family
from ckptedit.text.encoder import TextEncoder

MEDIA = ("photo", "painting", "photograph", "drawing", "picture", "image", "artwork")
COMPANIONS = 24  # concepts of the other kind that a prompt is completed with
OTHER = {"style": "object", "object": "style"}


@dataclass(frozen=True)
class Request:
    """What will be done.

    targets:    to erase now; earlier: erased before, by the ledger
    retain:     concepts of the same kind that must stay
    companions: concepts of the other kind, which prompts are completed with and which stay too
    """

    targets: tuple[Target, ...]
    earlier: tuple[Target, ...]
    retain: tuple[str, ...]
    companions: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.targets[0].kind


@dataclass(frozen=True)
class Wish:
    """What the user said.

    kind: "style", "object" or "auto"; anchor "": the default one; lexicon: a file of concepts to
    look for neighbours in and to leave alone, with [style] and [object] sections
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
        tuple(dict.fromkeys(word.strip() for word in words))
        for words in (wish.concepts, wish.retain)
    )
    if not concepts:
        raise BadParam("name at least one concept to erase")
    for concept in (*concepts, *asked, *([wish.anchor] if wish.anchor else [])):
        encoder.require_concept(concept)
    kind = find_kind(concepts, encoder, family) if wish.kind == "auto" else wish.kind
    require_kind(kind)
    _refuse_overlap(concepts, wish, encoder)
    before = tuple(
        target
        for target in erased(ledger)
        if not any(same_concept(encoder, target.concept, concept) for concept in concepts)
    )
    gone = {target.concept.lower() for target in before}
    retain, companions = _what_stays(asked, concepts, kind, wish, encoder, family, gone)
    targets = tuple(
        Target(c, kind, wish.anchor or default_anchor(c, concepts, kind, encoder, family, gone))
        for c in concepts
    )
    return Request(targets, before, retain, companions)


def _what_stays(
    asked: Sequence[str],
    concepts: Sequence[str],
    kind: str,
    wish: Wish,
    encoder: TextEncoder,
    family: Family,
    gone: Collection[str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Retained concepts of the targets' kind, with the nearest ones; companions of the other."""
    mine, theirs = (
        {word.lower(): word for word in lexicon(each, family) if word.lower() not in gone}
        for each in (kind, OTHER[kind])
    )
    taken = {word.lower() for word in (*asked, wish.anchor)}
    near = [word for lower, word in mine.items() if lower not in taken]
    found = nearest(encoder, concepts, near, count=wish.neighbors)
    company = [word for word in asked if word.lower() in theirs and word.lower() not in mine]
    retain = [word for word in asked if word not in company] + [n.concept for n in found]
    others = list(theirs.values())
    step = max(1, len(others) // COMPANIONS)
    companions = dict.fromkeys([*company, *others[::step]][:COMPANIONS])
    return tuple(retain), tuple(companions)


def default_anchor(
    concept: str,
    targets: Sequence[str],
    kind: str,
    encoder: TextEncoder,
    family: Family,
    gone: Collection[str],
) -> str:
    """A style's medium; an object's nearest neighbour that is not erased itself.

    gone: names of what was erased before, in lower case
    Raises BadParam if there is none but the concept itself.
    """
    usual = [anchor_for(kind, family.name)]
    if kind == "style":
        choices = [*usual, *MEDIA]
    else:
        out = {*gone, *(target.lower() for target in targets)}
        known = [word for word in lexicon(kind, family) if word.lower() not in out]
        choices = [n.concept for n in nearest(encoder, [concept], known, count=1)] + usual
    for choice in choices:
        if not same_concept(encoder, concept, choice):
            return choice
    raise BadParam(f"there is no anchor for {concept!r} but itself; name one with --anchor")


def find_kind(concepts: Sequence[str], encoder: TextEncoder, family: Family) -> str:
    """Style or object: by the lexicon if it has the concept, else as most of its neighbours are.

    Raises BadParam if it cannot be told, or if the concepts are of both kinds.
    """
    kinds = {concept: _kind_of(concept, encoder, family) for concept in concepts}
    if len(set(kinds.values())) > 1:
        named = ", ".join(f"{concept!r} ({kind})" for concept, kind in kinds.items())
        raise BadParam(f"these are of two kinds: {named}; erase one at a time, or say --kind")
    return kinds[concepts[0]]


def _kind_of(concept: str, encoder: TextEncoder, family: Family) -> str:
    lists = {kind: {word.lower() for word in lexicon(kind, family)} for kind in OTHER}
    listed = [kind for kind, words in lists.items() if concept.lower() in words]
    if len(listed) == 1:
        return listed[0]
    near = nearest(encoder, [concept], sorted(lists["style"] | lists["object"]), count=5)
    votes = sum(1 if neighbor.concept in lists["style"] else -1 for neighbor in near)
    if not votes:
        raise BadParam(f"cannot tell whether {concept!r} is a style or an object; say --kind")
    return "style" if votes > 0 else "object"


def _refuse_overlap(concepts: Sequence[str], wish: Wish, encoder: TextEncoder) -> None:
    for concept in concepts:
        for kept in wish.retain:
            if same_concept(encoder, concept, kept):
                raise BadParam(f"{kept!r} cannot be retained: it names the target {concept!r}")
        if wish.anchor and same_concept(encoder, concept, wish.anchor):
            raise BadParam(f"the anchor {wish.anchor!r} names the target {concept!r} itself")
