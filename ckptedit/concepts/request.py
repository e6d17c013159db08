"""What is asked for: from the words of a command to concepts, kinds and anchors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ckptedit.concepts.anchors import default_anchor
from ckptedit.concepts.kinds import kind_of
from ckptedit.concepts.lexicon import Lexicon, lexicon_of
from ckptedit.concepts.names import distinct, normal
from ckptedit.concepts.neighbors import mentions, nearest, same_concept, without
from ckptedit.concepts.private import erased_before
from ckptedit.concepts.spelling import endings, meant, nearly
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import KINDS, OTHER
from ckptedit.concepts.wish import Wish, refuse_misspelled, settle
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
    notes:      what was understood otherwise than written
    asked:      what of `retain` and `companions` was named, and not found among the neighbours
    """

    targets: tuple[Target, ...]
    earlier: tuple[Target, ...]
    retain: Names
    companions: Names
    notes: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

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


def resolve(
    wish: Wish, encoder: TextEncoder, family: Family, ledger: Sequence[Mapping[str, Any]]
) -> Request:
    """Fills in what the user left open. Raises BadParam for what cannot be meant."""
    lexicon = lexicon_of(family, wish.lexicon)
    wish = settle(wish, lexicon, ledger)
    named = [*wish.concepts, *wish.retain, *([wish.anchor] if wish.anchor else [])]
    for name in named:
        encoder.require_concept(name)
    likes = {name: like for name in named if (like := meant(name, lexicon, encoder.is_word))}
    if not wish.exact_name:
        refuse_misspelled(likes)
    before = erased_before(ledger, wish.earlier)
    _refuse_overlap(wish, encoder, lexicon, [*before, *wish.again])

    def kind_of_its_own(concept: str, kind: str) -> str:
        return kind_of(concept, encoder, lexicon) if kind == "auto" else kind

    kinds = {concept: kind_of_its_own(concept, wish.kind) for concept in wish.concepts}
    again = {
        target.concept: target
        for target in wish.again
        if not any(mentions(encoder, target.concept, concept) for concept in kinds)
    }
    if wish.again:  # whatever order the requests came in
        kinds |= {n: kind_of_its_own(t.alias_of or n, t.kind) for n, t in again.items()}
        kinds = dict(sorted(kinds.items()))
    if wish.again or wish.kept:
        wish = replace(wish, retain=sorted(distinct([*wish.retain, *wish.kept])))
    gone = [*(target.concept for target in before), *kinds]
    known = {kind: without(encoder, lexicon[kind], gone, kind=kind) for kind in KINDS}
    for double in likes.keys() & kinds:
        known = {kind: _unlike(double, words) for kind, words in known.items()}
    if wish.again or wish.kept:
        wish = replace(wish, retain=_still_there(wish.retain, encoder, lexicon, gone))
    retain, companions = _what_stays(wish, kinds, known, encoder)

    def anchor(concept: str, kind: str) -> str:
        usual = family.anchors.of(kind)
        return default_anchor(concept, kind, encoder, lexicon, usual=usual, gone=gone)

    def still(target: Target) -> Target:
        """An earlier target; its anchor must not be drawn any more if that is erased itself."""
        kind = kinds.get(target.concept, target.kind)
        others = [name for name in gone if name != target.concept]
        if target.anchor and not any(mentions(encoder, target.anchor, other) for other in others):
            return replace(target, kind=kind)
        return replace(target, kind=kind, anchor=anchor(target.concept, kind))

    earlier = tuple(
        still(target)
        for target in before
        if not any(mentions(encoder, target.concept, concept) for concept in kinds)
    )
    targets = tuple(
        still(again[concept])
        if concept in again
        else Target(concept, kind, wish.anchor or anchor(concept, kind))
        for concept, kind in kinds.items()
    )
    return Request(targets, earlier, retain, companions, wish.notes, tuple(wish.retain))


def _still_there(
    names: Sequence[str], encoder: TextEncoder, lexicon: Lexicon, gone: Sequence[str]
) -> list[str]:
    """Of names to retain, those that are not erased; a lexicon's objects as `without` has them."""
    objects = set(map(normal, lexicon["object"]))
    of = {name: "object" if normal(name) in objects else None for name in names}
    return [name for name in names if without(encoder, [name], gone, kind=of[name])]


def _unlike(name: str, words: Sequence[str]) -> list[str]:
    """The words of which a name is no misspelling: to retain "Van Gogh" would keep "Van Gough"."""
    form = normal(name)
    return [w for w in words if not any(nearly(form, normal(end)) for end in endings(w))]


def _what_stays(
    wish: Wish,
    kinds: Mapping[str, str],
    known: Mapping[str, Sequence[str]],
    encoder: TextEncoder,
) -> tuple[Names, Names]:
    """Retained concepts of the targets' kinds, with the nearest ones; companions of the others.

    kinds: of the targets; known: the lexicon by kind, but for what is or was erased
    """
    forms = {kind: {normal(word) for word in words} for kind, words in known.items()}
    targets = {kind: [c for c, k in kinds.items() if k == kind] for kind in KINDS}
    asked: dict[str, list[str]] = {kind: [] for kind in KINDS}
    mine = next(iter(kinds.values()))
    for word in wish.retain:  # what no lexicon knows is taken to be of the first target's kind
        form, other = normal(word), OTHER[mine]
        asked[other if form in forms[other] - forms[mine] else mine].append(word)
    retain: dict[str, tuple[str, ...]] = dict.fromkeys(KINDS, ())
    companions = dict(retain)
    # where targets of several requests come together, the anchor of the last one is not singled out
    taken = {normal(word) for word in (*wish.retain, "" if wish.again else wish.anchor)}
    for kind in KINDS:
        if targets[kind]:
            near = [word for word in known[kind] if normal(word) not in taken]
            found = nearest(encoder, targets[kind], near, count=wish.neighbors, kind=kind)
            retain[kind] = (*asked[kind], *(neighbor.concept for neighbor in found))
        if targets[OTHER[kind]]:
            spread = known[kind][:: max(1, len(known[kind]) // COMPANIONS)]
            company = [] if targets[kind] else asked[kind]
            most = max(COMPANIONS, len(company))
            companions[kind] = tuple(distinct([*company, *spread])[:most])
    return retain, companions


def _refuse_overlap(
    wish: Wish, encoder: TextEncoder, lexicon: Lexicon, before: Sequence[Target]
) -> None:
    """As `settle` does by names, by tokens: what contains a target names it, too.

    A part of its name ("gogh") does as well, unless it is a concept of its own: "Grumpy Cat" may
    become "Cat".
    """
    roles = [(name, f"{name!r} cannot be retained") for name in wish.retain]
    if wish.anchor:
        roles.append((wish.anchor, f"the anchor {wish.anchor!r} cannot be drawn"))
    for name, refused in roles:
        of_its_own = wish.exact_name or lexicon.kinds_of(name)
        for concept in wish.concepts:
            if (mentions if of_its_own else same_concept)(encoder, name, concept):
                raise BadParam(f"{refused}: it names the target {concept!r}")
        for target in before:
            if mentions(encoder, name, target.concept):
                raise BadParam(f"{refused}: {target.concept!r} was erased before")
