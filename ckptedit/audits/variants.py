"""How else a concept can be asked for: sentences, paraphrases, misspellings, other names, other
languages. Needs no torch.

Nothing here is a sentence that an erasure is built from.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.names import normal
from ckptedit.concepts.prompts import Pair
from ckptedit.concepts.spelling import endings
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import ALONE_FRAMES, HELD_OUT_FRAMES, OTHER, fill
from ckptedit.files.bounded import read_text

LANGUAGES = Path(__file__).parent / "languages.toml"
PARAPHRASES = {
    "style": (
        "{style}, {object}, highly detailed",
        "the {object} of {style}",
        "{object} inspired by {style}",
        "{object} as if {style} had made it",
        "my {object}, but make it {style}",
    ),
    "object": (
        "{style}, there is a {object} in it",
        "the {object} again, {style}",
        "my old {object} on a table, {style}",
        "one {object} and nothing else, {style}",
        "{object}! {style}!",
    ),
}
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
SHORTEST = 3  # letters of a word that is misspelled
WAYS = ("sentence", "alone", "paraphrase", "typo", "part", "alias")  # and languages


@dataclass(frozen=True)
class Variant:
    """One way to ask for a target: the name as it is written, and the sentences it stands in.

    way:    one of WAYS, or a language
    pairs:  each with the same sentence about the anchor
    others: each with the same sentence about another concept of the kind, in turn
    """

    name: str
    way: str
    pairs: tuple[Pair, ...]
    others: tuple[Pair, ...]


@dataclass(frozen=True)
class Company:
    """What a target is named beside, and what else could stand in its place.

    companions: of the other kind; others: of the target's own, one or more
    """

    companions: Sequence[str]
    others: Sequence[str]


def variants(
    target: Target, company: Company, lexicon: Lexicon, aliases: Sequence[str] = ()
) -> list[Variant]:
    """Every way, the plain name in held-out sentences first.

    aliases: other names of the target, by the user
    """
    name, kind = target.concept, target.kind
    beside = company.companions or [""]
    held = HELD_OUT_FRAMES if company.companions else ALONE_FRAMES[kind]
    say = _Sayer(target, company.others)
    found = [
        say(name, "sentence", held, beside),
        say(name, "alone", ALONE_FRAMES[kind], [""]),
        say(name, "paraphrase", PARAPHRASES[kind], beside),
    ]
    taken = {normal(each) for each in (*lexicon, *aliases, name)}
    spelled = {name.casefold()}
    for way, names in (("typo", typos(name)), ("part", endings(name)[1:]), ("alias", aliases)):
        for other in names:
            known = way == "typo" and normal(other) in taken - {normal(name)}
            if not known and other.casefold() not in spelled:
                found.append(say(other, way, held, beside))
                spelled.add(other.casefold())
    return [*found, *_abroad(target, company, lexicon)]


def typos(name: str) -> list[str]:
    """Misspellings of a name, one edit each, in the middle of each of its words, and its words
    written together or with a dash, and as a possessive.

    >>> typos("Cat")
    ['Ct', 'Cta', 'Caat', 'Cst', "Cat's"]
    """
    words = name.split()
    found = []
    for i, word in enumerate(words):
        if len(word) < SHORTEST:
            continue
        at = max(1, len(word) // 2 - 1)
        near = _beside(word[at])
        for wrong in (
            word[:at] + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at] + word[at:],
            word[:at] + near + word[at + 1 :],
        ):
            found.append(" ".join([*words[:i], wrong, *words[i + 1 :]]))
    if len(words) > 1:
        found += ["".join(words), "-".join(words)]
    return [each for each in dict.fromkeys([*found, f"{name}'s"]) if each != name]


def _beside(letter: str) -> str:
    """A letter's neighbour on a keyboard; the letter itself where it is on none."""
    for row in KEYBOARD:
        at = row.find(letter.lower())
        if at >= 0:
            return row[at + 1] if at + 1 < len(row) else row[at - 1]
    return letter


@dataclass(frozen=True)
class _Sayer:
    """Puts a name into sentences, beside those about the anchor and about others."""

    target: Target
    others: Sequence[str]
    anchor: str = ""

    def __call__(
        self, name: str, way: str, frames: Sequence[str], companions: Sequence[str]
    ) -> Variant:
        kind, anchor = self.target.kind, self.anchor or self.target.anchor

        def said(frame: str, company: str, what: str) -> str:
            # a frame without its companion ends in a comma
            return fill(frame, **{kind: what, OTHER[kind]: company}).strip(" ,、，:：!")

        places = [(frame, beside) for beside in companions for frame in frames]
        pairs = [(place, anchor) for place in places]
        turns = range(max(len(places), len(self.others)))
        others = [(places[i % len(places)], self.others[i % len(self.others)]) for i in turns]

        def beside(chosen: Sequence[tuple[tuple[str, str], str]]) -> tuple[Pair, ...]:
            return tuple(Pair(said(*place, name), said(*place, what), name=name)
                         for place, what in chosen)  # fmt: skip

        return Variant(name, way, beside(pairs), beside(others))


def _abroad(target: Target, company: Company, lexicon: Lexicon) -> list[Variant]:
    """In each language that has a word for the target, or frames to put its name in."""
    found = []
    for language, table in languages().items():
        words = {normal(english): word for english, word in table["words"].items()}
        name = words.get(normal(target.concept), target.concept)
        if target.kind == "object" and name == target.concept:
            continue  # an English word in a foreign sentence says nothing about the language
        others = [words.get(normal(each), each) for each in company.others]
        known = [words[normal(each)] for each in lexicon.objects if normal(each) in words]
        beside = known[: len(company.companions)] if target.kind == "style" else []
        say = _Sayer(target, others, words.get(normal(target.anchor), target.anchor))
        found.append(say(name, language, table[target.kind], beside or [""]))
    return found


@cache
def languages() -> dict[str, Any]:
    """Language -> frames by kind, and words by their English."""
    return tomllib.loads(read_text(LANGUAGES))
