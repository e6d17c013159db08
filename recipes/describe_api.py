"""Makes the page of the Python API from signatures and docstrings.

    python recipes/describe_api.py > docs/api.md        (a test fails when the page is not current)

Signatures stand as they are written in the source, so that every Python gives the same page.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

import ckptedit

HEAD = """# Python API

`from ckptedit import NAME`. Every command is a function with the same options; `import ckptedit`
alone loads nothing heavy. What a user can mend is a `ckptedit.errors.CkptError`, with one line that
says what. Made by `python recipes/describe_api.py > docs/api.md` from the docstrings.
"""
WIDTH = 100


def page() -> str:
    """The whole page: functions and classes by name, then the types that they take and return."""
    public = {name: getattr(ckptedit, name) for name in ckptedit.PUBLIC}
    types = {kind.__name__: kind for kind in named_types(public.values())}
    parts = [HEAD, *map(described, public.values()), "# Types they take and return\n"]
    return "\n".join([*parts, *(described(types[name]) for name in sorted(types))])


def described(thing: Any) -> str:
    """A heading, the signature or the fields, the docstring; of a class its public methods too."""
    if not inspect.isclass(thing):
        return f"## {thing.__name__}\n\n{code(signature(source(thing)))}\n{explained(thing)}"
    parts = [f"## {thing.__name__}\n", explained(thing)]
    if is_dataclass(thing):
        parts.append(code("\n".join(fields(thing))))
    for name, method in vars(thing).items():
        written = name == "__init__" and not is_dataclass(thing)
        if inspect.isfunction(method) and method.__doc__ and (written or not name.startswith("_")):
            shown = signature(source(method)).replace("__init__", thing.__name__)
            parts += [code(re.sub(r"\(self(, )?", "(", shown)), explained(method)]
    return "\n".join(part for part in parts if part)


def code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def explained(thing: Any) -> str:
    """The docstring: its first paragraph as a sentence, the rest as it is aligned."""
    documented = inspect.getdoc(thing) or ""
    if documented.startswith(f"{thing.__name__}("):  # made by dataclass
        return ""
    first, _, rest = documented.partition("\n\n")
    sentence = " ".join(first.split())
    return sentence + (f"\n\n```text\n{rest}\n```\n" if rest else "\n" if sentence else "")


@cache
def source(thing: Any) -> Any:
    """The definition of a function or class, parsed."""
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))).body[0]


def signature(function: ast.FunctionDef) -> str:
    """`name(arguments) -> result`, an argument a line where one line is too long."""
    result = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    line = f"{function.name}({ast.unparse(function.args)}){result}"
    if len(line) <= WIDTH:
        return line
    return f"{function.name}(\n    " + ",\n    ".join(arguments(function.args)) + f",\n){result}"


def arguments(given: ast.arguments) -> Iterator[str]:
    """Each argument with its type and default; a star before those that go by name."""
    places = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(places) - len(given.defaults)) + given.defaults
    for argument, default in zip(places, defaults, strict=True):
        yield ast.unparse(argument) + (f" = {ast.unparse(default)}" if default else "")
    if given.vararg:
        yield f"*{ast.unparse(given.vararg)}"
    elif given.kwonlyargs:
        yield "*"
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield ast.unparse(argument) + (f" = {ast.unparse(default)}" if default else "")
    if given.kwarg:
        yield f"**{ast.unparse(given.kwarg)}"


def fields(kind: type) -> Iterator[str]:
    """The fields of a dataclass as they are declared, those of its bases first; its properties."""
    bases = [source(base) for base in reversed(kind.__mro__) if is_dataclass(base)]
    for line in (line for base in bases for line in base.body if isinstance(line, ast.AnnAssign)):
        yield ast.unparse(line)
    for name, value in vars(kind).items():
        if isinstance(value, property) and not name.startswith("_"):
            yield f"{name}: {ast.unparse(source(value.fget).returns)}  # computed"


def named_types(things: Iterable[Any]) -> set[type]:
    """The classes of this package in the signatures of functions, but for those listed already."""
    functions = [thing for thing in things if inspect.isfunction(thing)]
    found = {part for f in functions for hint in get_type_hints(f).values() for part in parts(hint)}
    listed = set(ckptedit.PUBLIC)
    return {kind for kind in found if is_dataclass(kind) and kind.__name__ not in listed}


def parts(hint: Any) -> Iterator[type]:
    """The classes of this package that an annotation names, `X | None` and `list[X]` included."""
    if inspect.isclass(hint) and hint.__module__.startswith("ckptedit."):
        yield hint
    for inner in get_args(hint):
        yield from parts(inner)


if __name__ == "__main__":
    print(page(), end="")
