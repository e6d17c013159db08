"""Patterns that pick tensors by name: `model.diffusion_model.**.attn2.to_[kv].weight`.

`.` separates segments; `*` and `?` stay within one, `**` crosses them, `[kv]` is one of these
characters and `[!kv]` one that is not. A pattern that begins with `re:` is a regular expression for
the whole name. A list of patterns is read in order, as in a .gitignore: one that begins with `!`
takes away again what those before it picked.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import cache

from ckptedit.errors import BadParam, UnknownName

TOKEN = re.compile(r"\*\*\.|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
MEANING = {"**.": r"(?:[^.]*\.)*", "**": r".*", "*": r"[^.]*", "?": r"[^.]"}


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression that a pattern stands for, to be matched against a whole name.

    Raises BadParam if it is empty, or is a `re:` pattern that is not a regular expression.
    """
    if not pattern:
        raise BadParam("a pattern for tensor names is empty; `**` picks all of them")
    if not pattern.startswith("re:"):
        return re.compile("".join(_regex(token) for token in TOKEN.findall(pattern)), re.DOTALL)
    try:
        return re.compile(pattern[3:], re.DOTALL)
    except re.error as error:
        raise BadParam(f"{pattern!r} is not a regular expression: {error}") from error


def _regex(token: str) -> str:
    if token in MEANING:
        return MEANING[token]
    if len(token) > 1:  # a set of characters
        negated, members = token.startswith("[!"), token.strip("[]").removeprefix("!")
        escaped = members.replace("\\", r"\\").replace("^", r"\^").replace("[", r"\[")
        return f"[{'^.' if negated else ''}{escaped}]"
    return re.escape(token)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one tensor is picked. The last pattern that fits it decides; none picks nothing."""
    picked = False
    for pattern in patterns:
        if compiled(pattern.removeprefix("!")).fullmatch(name):
            picked = not pattern.startswith("!")
    return picked


def select(names: Collection[str], patterns: Sequence[str]) -> list[str]:
    """The names that the patterns pick, in their own order; without patterns, all of them.

    A list that begins with `!` takes away from all names. Raises UnknownName if one of the patterns
    fits no name at all: a typo must not make a check pass.
    """
    for pattern in patterns:
        require_match(names, pattern)
    if not patterns:
        return list(names)
    if patterns[0].startswith("!"):
        patterns = ["**", *patterns]
    return [name for name in names if matches(name, patterns)]


def require_match(names: Collection[str], pattern: str) -> None:
    """Raises UnknownName if a pattern fits none of the names."""
    expression = compiled(pattern.removeprefix("!"))
    if any(expression.fullmatch(name) for name in names):
        return
    near = get_close_matches(pattern, list(names)[:5000], n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"the pattern {pattern!r} fits none of the {len(names)} tensors{hint}")
