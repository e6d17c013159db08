"""Keywords of `erase` and `evaluate` as a shell's words: the options of the command line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ckptedit.errors import BadParam
from ckptedit.files import escape

# keyword -> its option, where that is not the keyword with dashes
SPELLED = {"roles": "--params", "guards": "--guard", "params": "--param", "prompts": "--prompt",
           "cache": "--no-cache"}  # fmt: skip
NO_OPTION = ("moments",)  # of `erase`, from Python alone
PATHS = ("lexicon", "classifier", "clip", "against", "reference")  # jobs run in another folder


def erase_words(keywords: Mapping[str, Any], where: str) -> list[str]:
    """keywords: of a request, `params` flat, and "concept". Raises BadParam for one that is no
    option, and for a name that the command line would take for a file."""
    for name in NO_OPTION:
        if name in keywords:
            raise BadParam(f"{where}: {name} is no option of `ckptedit erase`; leave it out")
    return [word for name, value in keywords.items() for word in _words(name, value, where)]


def eval_words(keywords: Mapping[str, Any], label: str) -> list[str]:
    """keywords: of the table [eval]. Raises BadParam as above."""
    where = f"{label}: [eval]"
    return [word for name, value in keywords.items() for word in _words(name, value, where)]


def option_of(name: str) -> str:
    return SPELLED.get(name, "--" + name.replace("_", "-"))


def _words(name: str, value: Any, where: str) -> Iterator[str]:
    """As one word each, so that a name may begin with a dash."""
    option = option_of(name)
    if isinstance(value, bool):
        yield from [option] if value != option.startswith("--no-") else []
    elif isinstance(value, Mapping):
        yield from (f"{option}={key}={_plain(each)}" for key, each in value.items())
    elif name == "guards" and not value:
        yield f"{option}=none"
    else:
        for each in value if isinstance(value, list | tuple) else [value]:
            text = str(Path(each).absolute()) if name in PATHS else _plain(each)
            if text.startswith("@"):
                raise BadParam(f"{where}: {escape(text)} would be read as the name of a file")
            yield f"{option}={text}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
