"""Names of concepts: what people spell differently is compared as one name.

"Van_Gogh", "van-gogh", "vangogh" and "'Van Gogh'" are one, and so are "Castle" and "the castle".
Every comparison of names in the tool is made here; the text that a prompt holds stays as it is.
"""

import re
import unicodedata
from collections.abc import Iterable

ARTICLES = ("a", "an", "the")
GAPS = ("Pd", "Pc", "Zs", "Cc", "Cf")  # dashes, "_", spaces, control, and what is invisible
MARKS = re.compile("[,;:!?()\\[\\]{}]")  # around names in sentences
SILENT = re.compile("[.'\"`\u00b4\u2018-\u201f\u2032\u2033\u00ab\u00bb\u2039\u203a\u0300-\u036f]")


def words_of(text: str) -> list[str]:
    """The words of a text for comparison: Unicode NFKC, case folded; dots, quotes, accents dropped.

    White space, dashes and underscores part them. Accents are those of Latin, Greek and Cyrillic.

    >>> words_of("J.M.W. Turner's Toulouse-Lautrec")
    ['jmw', 'turners', 'toulouse', 'lautrec']
    """
    return [word for word in (_plain(part) for part in _parts(text)) if word]


def normal(name: str) -> str:
    """The one form of a name: its words without a leading article, and without gaps.

    A single letter with a dot is an initial, not an article. A name of nothing but punctuation is
    itself.

    >>> normal("The Van-Gogh"), normal("A. Hitchcock")
    ('vangogh', 'ahitchcock')
    """
    parts = [part for part in _parts(name) if _plain(part)]
    if len(parts) > 1 and parts[0] in ARTICLES:
        parts = parts[1:]
    return "".join(map(_plain, parts)) or name.strip()


def same_name(a: str, b: str) -> bool:
    """Whether two texts are one name."""
    return normal(a) == normal(b)


def one_or_many(a: str, b: str) -> bool:
    """Whether two normal forms are one name, or one is the other's plural, as English makes it."""
    return a == b or a in _plurals(b) or b in _plurals(a)


def distinct(names: Iterable[str]) -> list[str]:
    """Each name once, in order, spelled as it came first."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(normal(name), name)
    return list(found.values())


def is_named(name: str, text: str) -> bool:
    """Whether a text holds a name as words of its own: "a photo of a cat" holds "Photo"."""
    words, wanted = words_of(MARKS.sub(" ", text)), normal(MARKS.sub(" ", name))
    return any(
        "".join(words[first : last + 1]) == wanted
        for first in range(len(words))
        for last in range(first, len(words))
    )


def _plurals(form: str) -> tuple[str, ...]:
    return (f"{form}s", f"{form}es", *([f"{form[:-1]}ies"] if form.endswith("y") else []))


def _parts(text: str) -> list[str]:
    """The words as they stand between gaps, folded, with their dots."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = "".join(" " if unicodedata.category(each) in GAPS else each for each in folded)
    return spaced.split()


def _plain(word: str) -> str:
    """A part without what is not compared."""
    bare = SILENT.sub("", unicodedata.normalize("NFKD", word))
    return unicodedata.normalize("NFKC", bare)
