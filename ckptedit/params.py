"""`density=0.2` as typed keyword arguments: a function's own signature is the schema.

Names, types and defaults of a method's hyperparameters are declared once, as its keyword-only
parameters. Understood are float, int, str, bool, Literal choices, and `X | None`; with
`Annotated[X, Within("(0, 1]"), "what it is"]` also a range, which is checked, and a meaning.
"""

import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ckptedit.errors import BadParam

NUMBER = re.compile(r"[-+]?([0-9.]+([eE][-+]?[0-9]+)?|inf|nan)")  # Python would take 1_0 and ٣, too
LONGEST = 80  # characters of a value that are shown
TRUE, FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


@dataclass(frozen=True)
class Within:
    """An interval as mathematics writes it, "(0, 1]": a bracket holds its end, a parenthesis does
    not; "inf" is no end at all."""

    interval: str

    def __contains__(self, value: float) -> bool:
        low, high = self._ends()
        above = value >= low if self.interval[0] == "[" else value > low
        return above and (value <= high if self.interval[-1] == "]" else value < high)

    def __str__(self) -> str:
        """As a sentence ends: "must be in (0, 1]", "must be above 0", "must be 1 or more"."""
        low, high = self._ends()
        if high < inf:
            return f"in {self.interval}"
        return f"{low:g} or more" if self.interval[0] == "[" else f"above {low:g}"

    def _ends(self) -> tuple[float, float]:
        low, high = self.interval[1:-1].split(",")
        return float(low), float(high)


@dataclass(frozen=True)
class Explained:
    """A hyperparameter as a user reads of it; choices: "", a range, or the words to choose from."""

    name: str
    default: Any
    choices: str
    meaning: str


def explained(function: Callable[..., Any]) -> list[Explained]:
    """The hyperparameters of a function or class, in order, as their annotations explain them."""
    found = []
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            bare, notes = _notes(parameter.annotation)
            meaning = next((note for note in notes if isinstance(note, str)), "")
            found.append(Explained(name, parameter.default, _choices(bare, notes), meaning))
    return found


def _notes(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A hint without its notes, and the notes."""
    if get_origin(hint) is not Annotated:
        return hint, ()
    bare, *notes = get_args(hint)
    return bare, tuple(notes)


def _choices(hint: Any, notes: Iterable[Any]) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    if hint is bool:
        return "true, false"
    return ", ".join(str(note) for note in notes if isinstance(note, Within))


def hyperparameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function, by name, in order."""
    parameters = inspect.signature(function).parameters
    return {n: p for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The hyperparameters that need not be given, with their values."""
    known = hyperparameters(function)
    return {n: p.default for n, p in known.items() if p.default is not inspect.Parameter.empty}


def require_seed(seed: int) -> None:
    """Raises BadParam for a seed that no generator takes."""
    if not 0 <= seed < 2**63:
        raise BadParam(f"seed must be in 0..2^63-1, not {seed}")


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """["density=0.2"] -> {"density": "0.2"}.

    Raises BadParam if one is not name=value, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadParam(f"{_shown(text)} is not of the form name=value")
        name = name.strip().replace("-", "_")
        if name in found:
            twice = f"{_bare(found[name])} and {_bare(value.strip())}"
            raise BadParam(f"{_bare(name)} is given twice: {twice}")
        found[name] = value.strip()
    return found


def typed(function: Callable[..., Any], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Checks and converts hyperparameters that a user gave as text, or as values already.

    function: or a class, whose hyperparameters are those of its constructor
    what: the function as messages call it, "ties"
    Raises BadParam for an unknown name or a value that is not of its type.
    """
    known = hyperparameters(function)
    hints = inspect.signature(function, eval_str=True).parameters
    for name in given:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise BadParam(f"{what} has no parameter {_bare(name)}; {has}")
    return {name: convert(value, hints[name].annotation, name) for name, value in given.items()}


def convert(value: Any, hint: Any, name: str) -> Any:
    """A value, perhaps as text, as the type that a hint names."""
    if get_origin(hint) is Annotated:
        bare, notes = _notes(hint)
        found = convert(value, bare, name)
        for note in notes:
            if isinstance(note, Within) and found is not None and found not in note:
                raise BadParam(f"{name} must be {note}, got {_shown(found)}")
        return found
    if get_origin(hint) in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        if len(options) < len(get_args(hint)) and value in (None, "none", "None"):
            return None
        return convert(value, options[0], name)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            choices = ", ".join(str(choice) for choice in get_args(hint))
            raise BadParam(f"{name} must be one of {choices}; got {_shown(value)}")
        return value
    if hint is bool:
        return _truth(value, name)
    if hint is not str and isinstance(value, str) and not NUMBER.fullmatch(value):
        raise BadParam(f"{name} must be a number ({hint.__name__}), got {_shown(value)}")
    try:
        found = hint(value)
    except (TypeError, ValueError, OverflowError):
        raise BadParam(f"{name} must be a number ({hint.__name__}), got {_shown(value)}") from None
    if isinstance(found, float) and not isfinite(found):
        raise BadParam(f"{name} must be a finite number, got {found}")
    if isinstance(found, int) and abs(found) >= 2**63:
        raise BadParam(f"{name} must be below 2^63, got {_shown(value)}")
    return found


def _truth(value: Any, name: str) -> bool:
    text = _shown(value).strip("'").lower()
    if text not in TRUE | FALSE:
        raise BadParam(f"{name} must be true or false, got {_shown(value)}")
    return text in TRUE


def _shown(value: Any) -> str:
    """The value as Python writes it, on one line, and not all of it if it is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _bare(name: str) -> str:
    """A name that a user typed, without quotes."""
    return _shown(name).strip("'")
