"""What the user said, and what is wrong with it at a glance: before torch, before any weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.lists import name_of
from ckptedit.concepts.names import distinct, normal
from ckptedit.concepts.private import erased_before
from ckptedit.concepts.spelling import meant, respelled
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import require_kind
from ckptedit.errors import BadParam

EXACT = "or say --exact-name if it is meant"


@dataclass(frozen=True)
class Wish:
    """What the user said.

    kind:       "style", "object" or "auto": each concept's own
    anchor:     "": the default one
    lexicon:    a file of concepts to look for neighbours in and to leave alone, with [style] and
                [object] sections
    exact_name: the names are meant as they are written, whatever the lexicon says
    notes:      what was understood otherwise than written
    again:      targets to erase once more, together with the concepts; their kind may be "auto" and
                their anchor "", as above
    kept:       what earlier requests asked to retain; of it, what is not erased by now stays
    earlier:    names that the ledger keeps as hashes
    """

    concepts: Sequence[str]
    kind: str = "auto"
    anchor: str = ""
    retain: Sequence[str] = ()
    neighbors: int = 8
    lexicon: Path | None = None
    exact_name: bool = False
    notes: tuple[str, ...] = ()
    again: tuple[Target, ...] = ()
    kept: tuple[str, ...] = ()
    earlier: Sequence[str] = ()


def aliases_of(
    concepts: Sequence[str], names: Sequence[str], kind: str, anchor: str
) -> tuple[Target, ...]:
    """Other names of the one concept, as targets beside it. Raises BadParam if it is not one."""
    if names and len(concepts) != 1:
        raise BadParam(f"aliases go with one concept; there are {len(concepts)}")
    if not all(map(name_of, names)):
        raise BadParam("the alias '' is empty")
    return tuple(Target(name_of(name), kind, anchor, concepts[0]) for name in names)


def settle(wish: Wish, known: Lexicon, ledger: Sequence[Mapping[str, Any]]) -> Wish:
    """The wish in the lexicon's spelling, each name once.

    Raises BadParam for what cannot be meant: nothing to erase, a list in one name, the wrong kind,
    a concept that is both erased and retained, or that stands in for what it is.
    """
    if wish.kind != "auto":
        require_kind(wish.kind)
    spelled = {
        name: name_of(name)
        for name in (*wish.concepts, *wish.retain, *([wish.anchor] if wish.anchor else []))
    }
    for name in spelled.values():
        _refuse_no_name(name, wish.exact_name)
    notes = []
    if not wish.exact_name:
        for written, name in spelled.items():
            spelled[written] = like = respelled(name, known)
            if like != name:
                notes.append(f"{name!r} is taken as {like!r}, as the lexicon spells it")
    settled = replace(
        wish,
        concepts=distinct(spelled[name] for name in wish.concepts),
        retain=distinct(spelled[name] for name in wish.retain),
        anchor=spelled.get(wish.anchor, ""),
        notes=tuple(notes),
    )
    if not settled.concepts:
        raise BadParam("name at least one concept to erase")
    if not wish.exact_name:  # a single word may be a word: the tokenizer is asked, later
        likes = {name: meant(name, known, lambda _: True) for name in spelled.values()}
        refuse_misspelled({name: like for name, like in likes.items() if like})
    _refuse_wrong_kind(settled, known)
    before = (*erased_before(ledger, wish.earlier), *wish.again)
    _refuse_overlap(settled, [target.concept for target in before])
    return settled


def refuse_misspelled(likes: Mapping[str, str]) -> None:
    """Raises BadParam if there is a name in `likes`, with the one that was probably meant."""
    for name, like in likes.items():
        raise BadParam(f"{name!r} is unknown; did you mean {like!r}? Write that, {EXACT}")


def _refuse_no_name(name: str, exact: bool) -> None:
    if not name:
        raise BadParam("the concept '' is empty")
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and all(parts) and not exact:
        each = ", ".join(map(repr, parts))
        raise BadParam(f"{name!r} is one name; for several repeat the option ({each}), {EXACT}")


def _refuse_wrong_kind(wish: Wish, known: Lexicon) -> None:
    for concept in wish.concepts:
        kinds = known.kinds_of(concept)
        if wish.kind != "auto" and kinds and wish.kind not in kinds and not wish.exact_name:
            raise BadParam(
                f"{concept!r} is of kind {kinds[0]}, by the lexicon, not {wish.kind}; leave out "
                f"--kind, {EXACT}"
            )


def _refuse_overlap(wish: Wish, before: Sequence[str]) -> None:
    targets = {normal(concept): concept for concept in wish.concepts}
    gone = {normal(concept): concept for concept in before}
    for kept in wish.retain:
        if target := targets.get(normal(kept)):
            raise BadParam(f"{kept!r} cannot be retained: it names the target {target!r}")
        if target := gone.get(normal(kept)):
            raise BadParam(f"{kept!r} cannot be retained: {target!r} was erased before")
    if target := targets.get(normal(wish.anchor)):
        raise BadParam(f"the anchor {wish.anchor!r} names the target {target!r} itself")
    if target := gone.get(normal(wish.anchor)):
        raise BadParam(f"the anchor {wish.anchor!r} cannot be drawn: {target!r} was erased before")
