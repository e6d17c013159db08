"""`density=0.2` as typed keyword arguments: a function's own signature is the schema.

Names, types and defaults of a method's hyperparameters are declared once, as its keyword-only
parameters. Understood are float, int, str, bool, Literal choices, and `X | None`.
"""

import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Literal, Union, get_args, get_origin

from ckptedit.errors import BadParam

NUMBER = re.compile(r"[-+]?([0-9.]+([eE][-+]?[0-9]+)?|inf|nan)")  # Python would take 1_0 and ٣, too
LONGEST = 80  # characters of a value that are shown
TRUE, FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


def hyperparameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function, by name, in order."""
    parameters = inspect.signature(function).parameters
    return {n: p for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The hyperparameters that need not be given, with their values."""
    known = hyperparameters(function)
    return {n: p.default for n, p in known.items() if p.default is not inspect.Parameter.empty}


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
