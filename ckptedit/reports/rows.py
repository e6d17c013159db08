"""Which prompts a page shows before and after: what is gone, what is near it, and what is not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ckptedit.concepts.kinds import kind_of
from ckptedit.concepts.lexicon import Lexicon, lexicon_of
from ckptedit.concepts.names import normal
from ckptedit.concepts.neighbors import nearest, without
from ckptedit.concepts.private import is_hidden, stands_for
from ckptedit.concepts.targets import erased
from ckptedit.concepts.templates import HELD_OUT_FRAMES, KINDS, fill
from ckptedit.diffusion import Model
from ckptedit.reports.story import Story

FRAME = HELD_OUT_FRAMES[0]  # no method trains on it
TARGET, WITHDRAWN, NEAR, UNRELATED, ASKED = "target", "withdrawn", "near", "unrelated", "asked"
MOST = {TARGET: 24, WITHDRAWN: 6, NEAR: 6, UNRELATED: 4}  # rows of each that are chosen unasked


@dataclass(frozen=True)
class Row:
    """concept: "" for a prompt that the user gave; group: one of the five above"""

    group: str
    concept: str
    prompt: str


def rows_of(
    story: Story, model: Model, prompts: Sequence[str], concepts: Sequence[str]
) -> tuple[list[Row], list[str]]:
    """(what to draw, what the reader should know of the choice)

    model: of the base, of which the text encoder is asked what is near
    prompts, concepts: what the user wants to see besides; hidden targets are among the latter
    """
    choice = _Choice(story, model)
    told = [name for name in story.erased if not is_hidden(name)]
    gone = [text for text in story.erased if is_hidden(text)]
    own = [name for name in concepts if not any(stands_for(text, name) for text in gone)]
    told += [name for name in concepts if name not in own]
    notes = []
    if unnamed := len(gone) - (len(concepts) - len(own)):
        notes.append(
            f"{unnamed} erased concepts are kept as salted hashes: their pictures take --concept"
        )
    groups = [
        (TARGET, told),
        (WITHDRAWN, story.withdrawn),
        (NEAR, choice.near(told)),
        (UNRELATED, choice.unrelated(told)),
    ]
    found = []
    for group, names in groups:
        some = spread(names, MOST[group])
        if len(some) < len(names):
            notes.append(f"{len(some)} of {len(names)} {group} concepts are shown, evenly spread")
        found += [choice.row(group, name) for name in some]
    known = {normal(row.concept) for row in found}
    found += [choice.row(ASKED, name) for name in own if normal(name) not in known]
    return found + [Row(ASKED, "", prompt) for prompt in prompts], notes


class _Choice:
    def __init__(self, story: Story, model: Model) -> None:
        self.encoder, self.usual = model.text, model.family.anchors.style
        self.lexicon: Lexicon = lexicon_of(model.family)
        self.kinds = {normal(each.concept): each.kind for each in erased(story.ledger)}
        gone = [*story.erased, *story.withdrawn]
        self.left = {
            kind: without(self.encoder, self.lexicon[kind], gone, kind=kind) for kind in KINDS
        }

    def row(self, group: str, name: str) -> Row:
        """A style beside an object that stays; an object as a photo."""
        self.encoder.require_concept(name)
        if self.kind(name) == "object":
            return Row(group, name, fill(FRAME, style=self.usual, object=name))
        company = next(iter(self.left["object"]), "picture")
        return Row(group, name, fill(FRAME, style=name, object=company))

    def kind(self, name: str) -> str:
        return self.kinds.get(normal(name)) or kind_of(name, self.encoder, self.lexicon)

    def near(self, targets: Sequence[str]) -> list[str]:
        """What lies nearest to the targets of each kind, and stays."""
        found = []
        for kind in KINDS:
            if own := [name for name in targets if self.kind(name) == kind]:
                count = MOST[NEAR] // len({self.kind(name) for name in targets})
                near = nearest(self.encoder, own, self._plain(kind), count=count, kind=kind)
                found += [neighbor.concept for neighbor in near]
        return found

    def unrelated(self, targets: Sequence[str]) -> list[str]:
        """Of the kinds that nothing was erased of; of both, if there is none such."""
        kinds = {self.kind(name) for name in targets}
        others = [kind for kind in KINDS if kind not in kinds] or list(KINDS)
        near = {normal(name) for name in self.near(targets)}
        each = MOST[UNRELATED] // len(others)
        return [
            name
            for kind in others
            for name in spread([w for w in self._plain(kind) if normal(w) not in near], each)
        ]

    def _plain(self, kind: str) -> list[str]:
        """What the lexicon has of a kind, but for the word that objects are drawn as."""
        return [word for word in self.left[kind] if normal(word) != normal(self.usual)]


def spread(names: Iterable[str], most: int) -> list[str]:
    """At most so many of them, evenly spaced."""
    every = list(names)
    count = min(most, len(every))
    return [every[i * len(every) // count] for i in range(count)]
