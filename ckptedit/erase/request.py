"""What is asked for: from the words of a command to concepts, anchors and prompts."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptedit.erase.bank import Pair
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import Family
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.lexicon import lexicon
from ckptedit.text.neighbors import nearest, same_concept
from ckptedit.text.templates import (
    ALONE_FRAMES,
    HELD_OUT_FRAMES,
    KINDS,
    TRAIN_FRAMES,
    anchor_for,
    fill,
    prompts_for,
    require_kind,
)

MEDIA = ("photo", "painting", "photograph", "drawing", "picture", "image", "artwork")
PLAIN = ("", "a painting", "a photo")  # prompts that no edit may change
COMPANIONS = 24  # concepts of the other kind that a prompt is completed with
OTHER = {"style": "object", "object": "style"}


@dataclass(frozen=True)
class Target:
    """One concept to erase, and what its prompts should produce instead."""

    concept: str
    kind: str
    anchor: str


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
    mine, theirs = (
        {word.lower(): word for word in lexicon(each, family) if word.lower() not in gone}
        for each in (kind, OTHER[kind])
    )
    taken = {word.lower() for word in (*asked, wish.anchor)}
    near = [word for lower, word in mine.items() if lower not in taken]
    found = nearest(encoder, concepts, near, count=wish.neighbors)
    company = [word for word in asked if word.lower() in theirs and word.lower() not in mine]
    retain = [word for word in asked if word not in company] + [n.concept for n in found]
    targets = tuple(
        Target(c, kind, wish.anchor or default_anchor(c, concepts, kind, encoder, family, gone))
        for c in concepts
    )
    others = list(theirs.values())
    step = max(1, len(others) // COMPANIONS)
    companions = dict.fromkeys([*company, *others[::step]][:COMPANIONS])
    return Request(targets, before, tuple(retain), tuple(companions))


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


def erased(ledger: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The targets of all erasures in a ledger, oldest first, each once.

    Those of merged checkpoints count, those of a delta that was taken out again do not. Raises
    BadCheckpoint if an entry is malformed.
    """
    found: dict[str, Target] = {}
    try:
        for line in ledger:
            for target in _targets(line):
                found[target.concept] = target
            for undone in line.get("taken_out", []):
                for target in _targets(undone):
                    found.pop(target.concept, None)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint("the checkpoint's ledger has a malformed erase entry") from error
    return list(found.values())


def _targets(line: Mapping[str, Any]) -> list[Target]:
    operation = line.get("operation")
    if operation == "erase":
        targets = [Target(str(t["concept"]), t["kind"], str(t["anchor"])) for t in line["targets"]]
        if any(target.kind not in KINDS for target in targets):
            raise BadCheckpoint("the checkpoint's ledger has an erased concept of no known kind")
        return targets
    if operation == "merge":
        return [t for each in line["inputs"] for inner in each["ledger"] for t in _targets(inner)]
    return []


def pairs(target: Target, companions: Sequence[str]) -> list[Pair]:
    """Prompts that name a target, each with the prompt that the anchor's picture is drawn for.

    companions: of the other kind; none: prompts that name the target alone
    """
    with_others = prompts_for(target.concept, target.kind, companions) if companions else []
    if target.kind == "style" and target.anchor.lower() in MEDIA:
        plain = f"a {target.anchor} of a {{object}}"
        instead = [fill(plain, object=word) for word in companions for _ in TRAIN_FRAMES]
        alone = [fill(plain, object="something")] * len(ALONE_FRAMES["style"])
    else:
        instead = prompts_for(target.anchor, target.kind, companions) if companions else []
        alone = prompts_for(target.anchor, target.kind)
    found = zip(with_others, instead, strict=True)
    singles = zip(prompts_for(target.concept, target.kind), alone, strict=True)
    return [Pair(*both) for both in (*found, *singles)]


def retained_pairs(request: Request) -> list[Pair]:
    """Prompts that must go on as they are; earlier targets with their anchors."""
    kind, other = request.kind, OTHER[request.kind]
    prompts = list(PLAIN)
    for concept in request.retain:
        prompts += prompts_for(concept, kind, request.companions[::2])
    for companion in request.companions:
        prompts += prompts_for(companion, other)
    stay = [Pair(prompt, prompt) for prompt in prompts if not _names(prompt, request.targets)]
    others = {kind: request.companions[::2], other: request.retain}  # what each kind is drawn with
    again = [pair for target in request.earlier for pair in pairs(target, others[target.kind])]
    return stay + [pair for pair in again if not _names(pair.prompt, request.targets)]


def held_out(concepts: Sequence[str], request: Request) -> list[str]:
    """Prompts that name concepts of the request's kind, and that nothing is built from."""
    company = request.companions[1::2] or request.companions
    return [
        prompt
        for concept in concepts
        for prompt in prompts_for(concept, request.kind, company, frames=HELD_OUT_FRAMES)
    ]


def _names(prompt: str, targets: Sequence[Target]) -> bool:
    """Whether a prompt names a target: "a photo of a cat" does, if "Photo" is to be erased."""
    words = (re.escape(target.concept.lower()) for target in targets)
    return any(re.search(rf"(?<!\w){word}(?!\w)", prompt.lower()) for word in words)


def _refuse_overlap(concepts: Sequence[str], wish: Wish, encoder: TextEncoder) -> None:
    for concept in concepts:
        for kept in wish.retain:
            if same_concept(encoder, concept, kept):
                raise BadParam(f"{kept!r} cannot be retained: it names the target {concept!r}")
        if wish.anchor and same_concept(encoder, concept, wish.anchor):
            raise BadParam(f"the anchor {wish.anchor!r} names the target {concept!r} itself")
