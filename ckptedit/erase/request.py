"""What is asked for: from the words of a command to concepts, anchors and prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptedit.erase.bank import Pair
from ckptedit.errors import BadParam
from ckptedit.families import Family
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.lexicon import lexicon
from ckptedit.text.neighbors import nearest, same_concept
from ckptedit.text.templates import (
    ALONE_FRAMES,
    TRAIN_FRAMES,
    anchor_for,
    fill,
    prompts_for,
    require_kind,
)

MEDIA = ("photo", "photograph", "painting", "drawing", "picture", "image", "artwork")
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
    """targets: to erase now; earlier: erased before, by the ledger; retain: of the same kind."""

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
    concepts = tuple(dict.fromkeys(concept.strip() for concept in wish.concepts))
    for concept in (*concepts, *wish.retain):
        encoder.require_concept(concept)
    if not concepts:
        raise BadParam("name at least one concept to erase")
    kind = find_kind(concepts, encoder, family) if wish.kind == "auto" else wish.kind
    require_kind(kind)
    _refuse_overlap(concepts, wish, encoder)
    before = tuple(
        target
        for target in erased(ledger)
        if not any(same_concept(encoder, target.concept, concept) for concept in concepts)
    )
    gone = [target.concept for target in before]
    known = [word for word in lexicon(kind, family) if word not in gone]
    found = nearest(encoder, concepts, [w for w in known if w != wish.anchor], count=wish.neighbors)
    retain = dict.fromkeys([*wish.retain, *(neighbor.concept for neighbor in found)])
    targets = tuple(
        Target(c, kind, wish.anchor or default_anchor(c, concepts, kind, encoder, family, gone))
        for c in concepts
    )
    others = [word for word in lexicon(OTHER[kind], family) if word not in gone]
    step = max(1, len(others) // COMPANIONS)
    return Request(targets, before, tuple(retain), tuple(others[::step][:COMPANIONS]))


def default_anchor(
    concept: str,
    targets: Sequence[str],
    kind: str,
    encoder: TextEncoder,
    family: Family,
    gone: Sequence[str],
) -> str:
    """A style's medium; an object's nearest neighbour that is not erased itself."""
    if kind == "style":
        return anchor_for(kind, family.name)
    known = [word for word in lexicon(kind, family) if word not in gone and word not in targets]
    found = nearest(encoder, [concept], known, count=1)
    return found[0].concept if found else anchor_for(kind, family.name)


def find_kind(concepts: Sequence[str], encoder: TextEncoder, family: Family) -> str:
    """Style or object: by the lexicon if it has the concept, else as most of its neighbours are."""
    votes = 0
    for concept in concepts:
        lists = {kind: {w.lower() for w in lexicon(kind, family)} for kind in OTHER}
        listed = [kind for kind, words in lists.items() if concept.lower() in words]
        if len(listed) == 1:
            votes += 5 if listed[0] == "style" else -5
            continue
        near = nearest(encoder, [concept], sorted(lists["style"] | lists["object"]), count=5)
        votes += sum(1 if neighbor.concept in lists["style"] else -1 for neighbor in near)
    return "style" if votes > 0 else "object"


def erased(ledger: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The targets of all erasures in a ledger, oldest first, each once."""
    found = {}
    for line in ledger:
        if line.get("operation") == "erase":
            for target in line.get("targets", []):
                found[target["concept"]] = Target(
                    target["concept"], target["kind"], target["anchor"]
                )
    return list(found.values())


def pairs(target: Target, companions: Sequence[str]) -> list[Pair]:
    """Prompts that name a target, each with the prompt that the anchor's picture is drawn for."""
    with_others = prompts_for(target.concept, target.kind, companions)
    if target.kind == "style" and target.anchor.lower() in MEDIA:
        plain = f"a {target.anchor} of a {{object}}"
        instead = [fill(plain, object=word) for word in companions for _ in TRAIN_FRAMES]
        alone = [fill(plain, object="something")] * len(ALONE_FRAMES["style"])
    else:
        instead = prompts_for(target.anchor, target.kind, companions)
        alone = prompts_for(target.anchor, target.kind)
    found = zip(with_others, instead, strict=True)
    singles = zip(prompts_for(target.concept, target.kind), alone, strict=True)
    return [Pair(*both) for both in (*found, *singles)]


def retained_pairs(request: Request) -> list[Pair]:
    """Prompts that must go on as they are; earlier targets with their anchors."""
    kind, other = request.kind, OTHER[request.kind]
    prompts = ["", "a painting", "a photo"]
    for concept in request.retain:
        prompts += prompts_for(concept, kind, request.companions[::2])
    for companion in request.companions:
        prompts += prompts_for(companion, other)
    again = [pair for target in request.earlier for pair in pairs(target, request.companions[::2])]
    return [*(Pair(prompt, prompt) for prompt in prompts), *again]


def _refuse_overlap(concepts: Sequence[str], wish: Wish, encoder: TextEncoder) -> None:
    for concept in concepts:
        for kept in wish.retain:
            if same_concept(encoder, concept, kept):
                raise BadParam(f"{kept!r} cannot be retained: it names the target {concept!r}")
        if wish.anchor and same_concept(encoder, concept, wish.anchor):
            raise BadParam(f"the anchor {wish.anchor!r} names the target {concept!r} itself")
