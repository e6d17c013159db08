"""What a name was meant to be: the lexicon's spelling of it, or a word that is nearly it."""

from collections.abc import Callable, Mapping
from functools import cache

from ckptedit.concepts.lexicon import Lexicon, general
from ckptedit.concepts.names import normal, one_or_many

# From this length on, of the shorter one, one edit or two make a name a misspelling of another. Of
# the 664 names that the general lexicon knows, 16 pairs with three letters are one edit apart (cat,
# car), 32 with four to seven (goose, moose), 2 with more. Two apart are 273 pairs with four to
# seven letters, and 2 with more: a near name says little where it is short, much where it is long.
ONE, TWO = 4, 8


@cache
def spellings(known: Lexicon) -> Mapping[str, str]:
    """The names that a lexicon knows, by their normal form, as prompts say them.

    Besides each concept, what it ends in: "Vincent van Gogh" is known as "van Gogh", too.
    """
    found = {normal(name): name for name in known}
    for name in (end for word in known for end in endings(word)):
        found.setdefault(normal(name), name)
    return found


def endings(name: str) -> list[str]:
    """The name, and it without its first words: "Vincent van Gogh", "van Gogh", "Gogh"."""
    words = name.split()
    return [" ".join(words[first:]) for first in range(len(words))]


def respelled(name: str, known: Lexicon) -> str:
    """The lexicon's spelling of a name; the name itself if it has none, or differs in case only."""
    spelled = spellings(known).get(normal(name), name)
    return name if spelled.casefold() == name.casefold() else spelled


def meant(name: str, known: Lexicon, is_word: Callable[[str], bool]) -> str | None:
    """The known name that this one is probably a misspelling of.

    is_word: whether a tokenizer knows a word as a whole; of the misspellings of a word of six
             letters, CLIP's vocabulary knows 2 %
    None if it is known itself, is a word, or is near to nothing.
    """
    form, spelled = normal(name), spellings(known)
    if (
        form in spelled
        or form in spellings(general())
        or (len(name.split()) == 1 and is_word(name))
    ):
        return None
    near = [(distance(form, o), word) for o, word in spelled.items() if nearly(form, o)]
    return min(near)[1] if near else None


def nearly(a: str, b: str) -> bool:
    """Whether two normal forms are so few edits apart that one is a misspelling of the other.

    Or one is the other's plural, however short.
    """
    shorter = min(len(a), len(b))
    most = (shorter >= ONE) + (shorter >= TWO)
    close = abs(len(a) - len(b)) <= most and 0 < distance(a, b) <= most
    return close or (a != b and one_or_many(a, b))


def distance(a: str, b: str) -> int:
    """Letters to insert, drop, replace, or swap with the next one, to make one text of another.

    Damerau, 1964, in the restricted form: no letter takes part in two edits.
    """
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            edits = min(last[j + 1] + 1, row[j] + 1, last[j] + (x != y))
            if i and j and x == b[j - 1] and y == a[i - 1]:
                edits = min(edits, before[j - 1] + 1)
            row.append(edits)
        before, last = last, row
    return last[-1]
