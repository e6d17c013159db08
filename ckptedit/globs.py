"""Patterns that pick tensors by name: `model.diffusion_model.**.attn2.to_[kv].weight`.

`.` separates segments; `*` and `?` stay within one, `**` crosses them, `[kv]` is one of these
characters and `[!kv]` one that is neither these nor a dot; else a set is what it is to Python's
`fnmatch`, so that `[[]` is a bracket. A pattern that begins with `re:` is a regular expression for
the whole name. A list of patterns is read in order, as in a .gitignore: one that begins with `!`
takes away again what those before it picked.

Patterns and names are foreign text. A glob takes time in proportion to the name, whatever stars are
in it: all ways through it are followed at once (Thompson, "Regular expression search algorithm",
CACM 1968). Regular expressions are Python's, and take what theirs take.
"""

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache

from ckptedit.errors import BadParam, UnknownName

LONGEST = 1000  # characters of a pattern
TOKEN = re.compile(r"\*\*\.|\*\*|\*|\[!?+\]?+[^\]]*\]|.", re.DOTALL)
STARS = {"*", "**", "**."}
HINTED = 5000  # names that a misspelt pattern is held against, of those that can be shown
SHOWN = 200  # characters of a pattern or a name in a message
STEPS = 50_000  # that a glob remembers: one for each state and character

Fits = Callable[[str], object]


@lru_cache(1024)
def compiled(pattern: str) -> Fits:
    """What tells whether a whole name fits a pattern.

    Raises BadParam if it is empty, too long, or a `re:` pattern that is not a regular expression.
    """
    if not pattern:
        raise BadParam("a pattern for tensor names is empty; `**` picks all of them")
    if len(pattern) > LONGEST:
        raise BadParam(f"the pattern {_shown(pattern)} has more than {LONGEST} characters")
    if not pattern.startswith("re:"):
        return Glob(pattern).fits
    try:
        with warnings.catch_warnings(action="ignore"):  # of a syntax that may change one day
            return re.compile(pattern[3:], re.DOTALL).fullmatch
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        reason = str(error) or "it is nested too deeply"
        raise BadParam(f"{_shown(pattern)} is not a regular expression: {reason}") from error


class Glob:
    """A pattern as a machine: where in the pattern a name can be after each of its characters."""

    def __init__(self, pattern: str) -> None:
        self._tokens = TOKEN.findall(pattern)
        self._sets = [_members(token) for token in self._tokens]
        self._forget()

    def _forget(self) -> None:
        self._states: dict[frozenset[int], _State] = {}
        self._steps = 0
        self._start = self._state(self._entered(0))

    def fits(self, name: str) -> bool:
        """Whether the pattern stands for this whole name."""
        state = self._start
        for char in name:
            state = state[char]
        return len(self._tokens) in state.places

    def step(self, places: frozenset[int], char: str) -> "_State":
        """Where a name can be one character farther."""
        if self._steps >= STEPS:
            self._forget()
        self._steps += 1
        after: set[int] = set()
        for place in places - {len(self._tokens)}:
            after |= self._after(place, char)
        return self._state(frozenset(after))

    def _after(self, place: int, char: str) -> set[int]:
        token = self._tokens[place]
        if token == "**.":  # segments with their dots: it is left behind a dot, or never entered
            return {place} | (self._entered(place + 1) if char == "." else set())
        if token in STARS:
            return self._entered(place) if char != "." or token == "**" else set()
        return self._entered(place + 1) if _is_in(char, *self._sets[place]) else set()

    def _entered(self, place: int) -> set[int]:
        """A place, and those behind it that need no character."""
        places = {place}
        while place < len(self._tokens) and self._tokens[place] in STARS:
            place += 1
            places.add(place)
        return places

    def _state(self, places: Iterable[int]) -> "_State":
        key = frozenset(places)
        if key not in self._states:
            self._states[key] = _State(self, key)
        return self._states[key]


class _State(dict[str, "_State"]):
    """The places that a name can have reached; by character, those that it reaches next."""

    def __init__(self, glob: Glob, places: frozenset[int]) -> None:
        self.places, self._glob = places, glob

    def __missing__(self, char: str) -> "_State":
        self[char] = found = self._glob.step(self.places, char)
        return found


def _members(token: str) -> tuple[bool, list[tuple[str, str]]]:
    """Whether a token takes what is in these ranges of characters, or what is in none of them."""
    if token == "?":
        return False, [(".", ".")]
    if len(token) == 1 or token in STARS:
        return True, [(token, token)]
    wanted = not token.startswith("[!")
    inside, ranges, i = token[1 if wanted else 2 : -1], list[tuple[str, str]](), 0
    while i < len(inside):
        last = i + 2 if inside[i + 1 : i + 2] == "-" and i + 2 < len(inside) else i
        ranges.append((inside[i], inside[last]))  # from z to a: empty
        i = last + 1
    return wanted, ranges if wanted else [*ranges, (".", ".")]


def _is_in(char: str, wanted: bool, ranges: list[tuple[str, str]]) -> bool:
    return any(low <= char <= high for low, high in ranges) is wanted


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one tensor is picked. The last pattern that fits it decides; none picks nothing."""
    picked = False
    for pattern in patterns:
        if compiled(pattern.removeprefix("!"))(name):
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
    fits = compiled(pattern.removeprefix("!"))
    if any(fits(name) for name in names):
        return
    hinted = [name for name in names if len(name) <= SHOWN][:HINTED]
    near = get_close_matches(pattern[:SHOWN], hinted, n=1, cutoff=0.4)
    hint = f"; did you mean {literal(near[0])!r}?" if near else ""
    raise UnknownName(f"the pattern {_shown(pattern)} fits none of the {len(names)} tensors{hint}")


def literal(name: str) -> str:
    """The pattern that stands for this name and for no other."""
    if name.startswith("!"):
        return "re:" + re.escape(name)
    escaped = re.sub(r"[*?[]", r"[\g<0>]", name)
    return f"[r]{escaped[1:]}" if escaped.startswith("re:") else escaped


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= SHOWN else pattern[:SHOWN] + "…")
