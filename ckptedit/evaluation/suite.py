"""Which pictures an evaluation draws: styles times objects times seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from ckptedit.concepts.names import normal
from ckptedit.concepts.spelling import nearly
from ckptedit.concepts.templates import HELD_OUT_FRAMES, fill
from ckptedit.errors import BadParam

FRAME = HELD_OUT_FRAMES[0]  # no method trains on it


@dataclass(frozen=True)
class Cell:
    """One picture to draw."""

    style: str
    object: str
    seed: int

    @property
    def prompt(self) -> str:
        return fill(FRAME, style=self.style, object=self.object)

    @property
    def key(self) -> tuple[str, str, int]:
        """What its noise depends on, and nothing else: the same on every checkpoint."""
        return (self.style, self.object, self.seed)


@dataclass(frozen=True)
class Suite:
    """What was erased and what must stay, by kind."""

    erased: tuple[str, ...]
    styles: tuple[str, ...]  # all to draw, erased ones among them
    objects: tuple[str, ...]
    seeds: int

    def cells(self) -> list[Cell]:
        """Pairs in which at most one of the two is erased, each with every seed."""
        return [
            Cell(style, thing, seed)
            for style in self.styles
            for thing in self.objects
            if not (style in self.erased and thing in self.erased)
            for seed in range(self.seeds)
        ]


def plan(
    erased: Sequence[str],
    retain: Sequence[str],
    known_styles: Sequence[str],
    known_objects: Sequence[str],
    *,
    companions: int,
    seeds: int,
) -> Suite:
    """Chooses what to draw.

    retain:     concepts that must stay; none: all that the judge knows
    companions: how many concepts of a kind to combine with when none of that kind is erased or
                asked for, evenly over the list
    Raises BadParam for a concept that the judge does not know, or that is erased and retained.
    """
    names = {normal(name): name for name in (*known_styles, *known_objects)}
    gone, kept = (_known(words, names) for words in (erased, retain))
    for name in gone:
        if name in kept:
            raise BadParam(f"{name!r} cannot be both erased and retained")
    drawn = []
    for known in (known_styles, known_objects):
        mine = [name for name in known if name in gone]
        asked = [name for name in known if name in kept]
        if not asked:
            free = [name for name in known if name not in gone]
            asked = free if mine else _spread(free, companions)
        drawn.append(tuple(name for name in known if name in mine or name in asked))
    return Suite(tuple(gone), drawn[0], drawn[1], seeds)


def _known(words: Sequence[str], names: dict[str, str]) -> list[str]:
    """The judge's spelling of names, each once. names: by their normal form"""
    for word in words:
        form = normal(word)
        if form not in names:
            likely = next(
                (f"did you mean {names[n]!r}? It" for n in names if nearly(form, n)), "it"
            )
            raise BadParam(
                f"the judge does not know {word!r}; {likely} knows: {', '.join(names.values())}"
            )
    return list(dict.fromkeys(names[normal(word)] for word in words))


def _spread(names: list[str], count: int) -> list[str]:
    if count >= len(names):
        return names
    return [names[i * len(names) // count] for i in range(count)]
