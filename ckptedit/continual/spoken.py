"""Keywords of `erase` and `evaluate` as a shell's words: the options of the command line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ckptedit.errors import BadParam
from ckptedit.files import escape

# keyword -> its option, where that is not the keyword with dashes
ERASE = {"roles": "--params", "guards": "--guard", "params": "--param"}
NO_OPTION = ("moments",)  # of `erase`, from Python alone
EVAL = ("erased", "retain", "seeds", "companions", "steps", "suite", "judge", "against")
PATHS = ("lexicon", "against")  # from anywhere: jobs run in a folder of their own


def erase_words(keywords: Mapping[str, Any], where: str) -> list[str]:
    """keywords: of a request, `params` flat; Raises BadParam for one that is no option."""
    for name in NO_OPTION:
        if name in keywords:
            raise BadParam(f"{where}: {name} is no option of `ckptedit erase`; leave it out")
    return [word for name, value in keywords.items() for word in _words(name, value)]


def eval_words(keywords: Mapping[str, Any], label: str) -> list[str]:
    """keywords: of the table [eval]. Raises BadParam for one that is none."""
    found: list[str] = []
    for key, value in keywords.items():
        if (name := key.replace("-", "_")) not in EVAL:
            raise BadParam(
                f"{label}: [eval] has an unknown key {escape(key)}; known: {', '.join(EVAL)}"
            )
        found += _words(name, value)
    return found


def option_of(name: str) -> str:
    return ERASE.get(name, "--" + name.replace("_", "-"))


def _words(name: str, value: Any) -> Iterator[str]:
    """As one word each, so that a name may begin with a dash."""
    option = option_of(name)
    if isinstance(value, bool):
        yield from [option] if value else []
    elif isinstance(value, Mapping):
        yield from (f"{option}={key}={_plain(each)}" for key, each in value.items())
    elif name == "guards" and not value:
        yield f"{option}=none"
    elif isinstance(value, list | tuple):
        yield from (f"{option}={each}" for each in value)
    else:
        yield f"{option}={Path(value).absolute() if name in PATHS else _plain(value)}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
