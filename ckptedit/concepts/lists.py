"""Lists of names in files: what `@file` stands for, and the lines of a lexicon."""

import re
from collections.abc import Sequence
from pathlib import Path

from ckptedit.errors import BadParam, CkptError
from ckptedit.files import escape
from ckptedit.files.bounded import read_text

JOINERS = re.compile("[\u200c\u200d]")  # do not print, and are part of Persian words and emoji
COMMENT = re.compile(r"(^|\s)#.*")  # a "#" at the start, or after a space: "C#" is a name


def listed(words: Sequence[str] | None) -> list[str]:
    """Option values as they are; `@file` stands for the names in a file, one a line.

    Raises BadParam for what is no text, and for a file that cannot be read.
    """
    found: list[str] = []
    for word in words or []:
        found += read_names(Path(word[1:])) if word.startswith("@") else [name_of(word)]
    return found


def one_or_more(words: str | Sequence[str]) -> Sequence[str]:
    """A name alone as a list of one: a text is a sequence, too, of letters that nobody meant."""
    return [words] if isinstance(words, str) else words


def read_names(path: Path) -> list[str]:
    """The lines of a small UTF-8 file or pipe, without blank ones and comments."""
    try:
        text = read_text(path, pipe=True)
    except CkptError as error:
        raise BadParam(f"cannot read the list {error}") from error
    return [name_of(line) for line in lines_of(text)]


def lines_of(text: str) -> list[str]:
    """The lines of a list, trimmed, without blank ones and comments."""
    lines = (COMMENT.sub("", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def name_of(text: str) -> str:
    """A text as a name: its white space evened out. Raises BadParam if it cannot be one."""
    name = " ".join(text.split())
    if not JOINERS.sub("", name).isprintable():
        raise BadParam(f"the name {escape(text)} has characters that are no text")
    return name
