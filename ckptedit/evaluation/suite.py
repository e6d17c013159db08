"""Which pictures an evaluation draws: styles times objects times seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ckptedit.concepts.names import normal, one_or_many
from ckptedit.concepts.spelling import nearly
from ckptedit.concepts.templates import HELD_OUT_FRAMES, fill
from ckptedit.errors import BadParam

FRAME = HELD_OUT_FRAMES[0]  # no method trains on it
SET = "set:"  # before the name of a list that a world has; "set:NAME/3" is its first three


@dataclass(frozen=True)
class World:
    """What a suite can draw, and how it is drawn and judged if nobody says otherwise.

    styles, objects: all that its judge tells apart, in the order of the judge's classes
    frame:     the prompt, with {style} and {object} in it
    published: seeds that come first; after them come 0, 1, 2, ...
    sets:      lists of its names that others have published
    judge, tower: names in JUDGES and TOWERS; None: no such thing ships
    guidance:  None: the family's
    """

    name: str
    styles: tuple[str, ...]
    objects: tuple[str, ...]
    frame: str = FRAME
    published: tuple[int, ...] = ()
    seeds: int = 1
    companions: int = 10
    steps: int = 16
    guidance: float | None = None
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    judge: str | None = None
    tower: str | None = None

    def knows(self, name: str) -> bool:
        """Whether its judge tells a concept of this name apart."""
        form = normal(name)
        return any(one_or_many(form, normal(each)) for each in (*self.styles, *self.objects))

    def named(self, words: Sequence[str]) -> list[str]:
        """Names as they are, and those of a list for its name. Raises BadParam for no such list."""
        found: list[str] = []
        for word in words:
            if not word.startswith(SET):
                found.append(word)
                continue
            name, _, first = word.removeprefix(SET).partition("/")
            if name not in self.sets or not (first.isdecimal() or not first):
                known = ", ".join(SET + each for each in self.sets) or "none"
                raise BadParam(
                    f"the suite {self.name} has no list {word!r}; there are: {known}; "
                    f"with /N after it, its first N"
                )
            found += self.sets[name][: int(first) if first else None]
        return found


@dataclass(frozen=True)
class Cell:
    """One picture to draw; without a style and an object it is of the frame, as it stands."""

    style: str
    object: str
    seed: int
    frame: str = FRAME

    @property
    def prompt(self) -> str:
        """The frame with both names in it; one that others published is taken to the letter."""
        if not self.style:
            return self.frame
        if self.frame in HELD_OUT_FRAMES:
            return fill(self.frame, style=self.style, object=self.object)
        return self.frame.format(style=self.style, object=self.object)

    @property
    def key(self) -> tuple[str, str, int]:
        """What its noise depends on, and nothing else: the same on every checkpoint."""
        if not self.style:
            return (self.frame, "", self.seed)
        return (self.style, self.object, self.seed)


@dataclass(frozen=True)
class Suite:
    """What was erased and what must stay, by kind."""

    erased: tuple[str, ...]
    styles: tuple[str, ...]  # all to draw, erased ones among them
    objects: tuple[str, ...]
    seeds: int
    frame: str = FRAME
    published: tuple[int, ...] = ()  # seeds that come first
    prompts: tuple[str, ...] = ()  # instead of all these

    def cells(self) -> list[Cell]:
        """Pairs in which at most one of the two is erased, each with every seed; or the prompts."""
        numbers = [*self.published, *range(self.seeds)][: self.seeds]
        if self.prompts:
            return [Cell("", "", seed, prompt) for prompt in self.prompts for seed in numbers]
        return [
            Cell(style, thing, seed, self.frame)
            for style in self.styles
            for thing in self.objects
            if not (style in self.erased and thing in self.erased)
            for seed in numbers
        ]


def plan(
    erased: Sequence[str],
    retain: Sequence[str],
    known_styles: Sequence[str],
    known_objects: Sequence[str],
    *,
    companions: int,
    seeds: int,
    frame: str = FRAME,
    published: tuple[int, ...] = (),
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
    return Suite(tuple(gone), drawn[0], drawn[1], seeds, frame, published)


def _known(words: Sequence[str], names: dict[str, str]) -> list[str]:
    """The judge's spelling of names, each once. names: by their normal form"""
    return list(dict.fromkeys(_spelled(word, names) for word in words))


def _spelled(word: str, names: dict[str, str]) -> str:
    form = normal(word)
    if form in names:
        return names[form]
    if same := [name for known, name in names.items() if one_or_many(form, known)]:
        return same[0]
    likely = next((f"did you mean {names[n]!r}? It" for n in names if nearly(form, n)), "it")
    raise BadParam(f"the judge does not know {word!r}; {likely} knows: {', '.join(names.values())}")


def _spread(names: list[str], count: int) -> list[str]:
    if count >= len(names):
        return names
    return [names[i * len(names) // count] for i in range(count)]
