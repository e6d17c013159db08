"""The list of requests: what arrives, in the order in which it arrives. Read without torch.

TOML has all of it: `[defaults]` for every request, `[[request]]` tables, each of which asks to
erase (`concept` or `concepts`) or takes an earlier request back (`withdraw`), and `[eval]`, how to
score. CSV, with a header, is a plain takedown list; any other file is a name a line.
"""

import csv
import hashlib
import io
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ckptedit.concepts.lists import lines_of, name_of
from ckptedit.concepts.names import normal
from ckptedit.errors import BadParam, CkptError
from ckptedit.files import escape
from ckptedit.files.bounded import read_text

ALIAS_MARK = ";"  # between aliases in a cell of a CSV
NAMES = ("concept", "concepts", "aliases", "withdraw")  # keys of a request that are its own
COLUMNS = ("concept", "aliases", "kind", "anchor", "withdraw")
TABLES = ("defaults", "request", "eval")

# keywords of `erase` that a request or [defaults] may have: a sample of each one's type
OPTIONS: Mapping[str, type | tuple[type, ...]] = {
    "kind": str, "anchor": str, "retain": list, "neighbors": int, "lexicon": str,
    "exact_name": bool, "method": str, "roles": str, "init": str, "guards": list, "params": dict,
    "tokens": str, "steps": int, "lr": (int, float), "clip": (int, float), "batch": int,
    "pictures": int, "moments": int, "min_erase": (int, float), "seed": int,
}  # fmt: skip
EVALUATION: Mapping[str, type] = {  # keywords of `evaluate` that [eval] may have, the same way
    "erased": list, "retain": list, "prompts": list, "seeds": int, "companions": int, "steps": int,
    "suite": str, "judge": str, "classifier": list, "clip": str, "detector": str, "against": str,
    "reference": str, "cache": bool,
}  # fmt: skip
LISTS = ("retain", "guards", "concepts", "aliases", "withdraw")  # one name alone is a list of it
OF_CONCEPTS = ("kind", "anchor", "retain")  # the rest is how it is done


@dataclass(frozen=True)
class Asked:
    """One request.

    number:   from 1; where: as messages name it
    concepts: to erase; aliases: other names of the one concept, which go with it
    withdraw: concepts of earlier requests that are to come back; then nothing is erased
    options:  its own keywords of `erase`
    """

    number: int
    where: str
    concepts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    withdraw: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All that is to be erased."""
        return (*self.concepts, *self.aliases)

    def option(self, name: str, otherwise: Any) -> Any:
        return self.options.get(name, otherwise)

    def as_fact(self) -> dict[str, Any]:
        """What it asks, as a table of a TOML list would."""
        named = {"concepts": self.concepts, "aliases": self.aliases, "withdraw": self.withdraw}
        return {key: list(names) for key, names in named.items() if names} | dict(self.options)

    def digest(self) -> str:
        """sha256 of what it asks, wherever it stands."""
        said = [self.concepts, self.aliases, self.withdraw, sorted(self.options.items())]
        return hashlib.sha256(json.dumps(said, default=list).encode()).hexdigest()


@dataclass(frozen=True)
class Requests:
    """A list of requests, checked.

    defaults:   keywords of `erase` for all of them
    evaluation: keywords of `evaluate`
    """

    label: str
    entries: tuple[Asked, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)


def read_requests(path: str | Path) -> Requests:
    """Reads a list of requests. Raises BadParam, naming file and request, for what is wrong."""
    label, ending = escape(path), Path(path).suffix.lower()
    try:
        text = read_text(path, pipe=True)
    except CkptError as error:
        raise BadParam(f"cannot read the requests {error}") from error
    if ending == ".toml":
        found = _of_toml(text, label)
    elif ending == ".csv":
        found = Requests(label, tuple(_of_csv(text, label)))
    else:
        named = enumerate(lines_of(text), start=1)
        entries = (_entry({"concept": name}, n, f"{label}: request {n}") for n, name in named)
        found = Requests(label, tuple(entries))
    if not found.entries:
        raise BadParam(f"{label} holds no requests")
    require_sound(found.entries)
    return found


def standing(entries: Iterable[Asked]) -> list[Asked]:
    """What is still asked for after these requests, without what was withdrawn since."""
    found: list[Asked] = []
    for entry in entries:
        back = set(map(normal, entry.withdraw))
        left = [_without(each, back) for each in found]
        found = [each for each in (*left, entry) if each.concepts]
    return found


def require_sound(entries: Sequence[Asked]) -> None:
    """Raises BadParam for a name asked for twice, or withdrawn without having been asked for."""
    asked: dict[str, Asked] = {}
    for entry in entries:
        for name in entry.names:
            if before := asked.get(normal(name)):
                again = "twice" if before is entry else f"already by request {before.number}"
                raise BadParam(f"{entry.where}: {name!r} is asked for {again}; leave it out")
            asked[normal(name)] = entry
        for name in entry.withdraw:
            if not (before := asked.get(normal(name))):
                raise BadParam(f"{entry.where}: {name!r} is withdrawn, but nothing asks for it")
            if normal(name) in map(normal, before.aliases):
                raise BadParam(
                    f"{entry.where}: {name!r} is an alias in request {before.number}; withdraw "
                    f"{before.concepts[0]!r}, and its aliases go with it"
                )
            for gone in (name, *before.aliases):
                asked.pop(normal(gone), None)


def options_of(
    table: Mapping[str, Any], where: str, known: Mapping[str, Any] = OPTIONS
) -> dict[str, Any]:
    """Keywords of `erase`, or others that are known, checked by name and type. Raises BadParam."""
    found = {}
    for key, value in table.items():
        key = key.replace("-", "_")
        if key not in known:
            raise BadParam(f"{where} has an unknown key {escape(key)}; known: {', '.join(known)}")
        found[key] = _typed(key, value, known[key], where)
    return found


def _without(entry: Asked, back: set[str]) -> Asked:
    left = tuple(name for name in entry.concepts if normal(name) not in back)
    return replace(entry, concepts=left)


def _of_toml(text: str, label: str) -> Requests:
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadParam(f"{label} is no TOML: {escape(error)}") from error
    for key in tables:
        if key not in TABLES:
            raise BadParam(
                f"{label} has an unknown table {escape(key)}; known: [defaults], [[request]], "
                f"[eval]"
            )
    rows = tables.get("request", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadParam(f"{label}: requests are tables, each under [[request]]")
    for name in ("defaults", "eval"):
        if not isinstance(tables.get(name, {}), dict):
            raise BadParam(f"{label}: {name} is a table, under [{name}]")
    entries = tuple(_entry(row, n, _place(label, n, row)) for n, row in enumerate(rows, start=1))
    defaults = options_of(tables.get("defaults", {}), f"{label}: [defaults]")
    evaluation = options_of(tables.get("eval", {}), f"{label}: [eval]", EVALUATION)
    return Requests(label, entries, defaults, evaluation)


def _place(label: str, number: int, row: Mapping[str, Any]) -> str:
    named = next((row[key] for key in NAMES if key in row), None)
    return f"{label}: request {number}" + (f" ({escape(named)})" if named else "")


def _of_csv(text: str, label: str) -> Iterable[Asked]:
    rows = io.StringIO(text, newline="")  # as it is: a cell in quotes may run over lines
    reader = csv.DictReader(rows, skipinitialspace=True, strict=True)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or []]
        for name in columns:
            if name not in COLUMNS:
                raise BadParam(
                    f"{label}: line 1 has an unknown column {escape(name)}; known: "
                    f"{', '.join(COLUMNS)}"
                )
        reader.fieldnames = columns
        number = 0
        for line in reader:
            where = f"{label}: line {reader.line_num}"
            if None in line:
                raise BadParam(f"{where} has more cells than the header has columns")
            cells = {key: value.strip() for key, value in line.items() if value and value.strip()}
            if cells:
                number += 1
                lists = {"aliases": cells.pop("aliases", "").split(ALIAS_MARK)}
                yield _entry(
                    {**cells, **({} if lists["aliases"] == [""] else lists)}, number, where
                )
    except csv.Error as error:
        raise BadParam(f"{label}: line {reader.line_num} is no CSV: {escape(error)}") from error


def _entry(row: Mapping[str, Any], number: int, where: str) -> Asked:
    row = {key.replace("-", "_"): value for key, value in row.items()}
    if "concept" in row and "concepts" in row:
        raise BadParam(f"{where} has both concept and concepts; leave one out")
    lists = {key: _names(key, row[key], where) for key in NAMES if key in row}
    concepts = lists.get("concept") or lists.get("concepts") or ()
    aliases, withdraw = lists.get("aliases", ()), lists.get("withdraw", ())
    options = options_of({k: v for k, v in row.items() if k not in NAMES}, where)
    if bool(concepts) == bool(withdraw):
        raise BadParam(f"{where} must name a concept to erase, or one to withdraw, and not both")
    if aliases and len(concepts) != 1:
        raise BadParam(f"{where} has aliases, which go with one concept; it has {len(concepts)}")
    if withdraw and options:
        raise BadParam(f"{where} withdraws, and has no use for {next(iter(options))}; leave it out")
    return Asked(number, where, concepts, aliases, withdraw, options)


def _names(key: str, value: Any, where: str) -> tuple[str, ...]:
    if key == "concept" and not isinstance(value, str):
        raise BadParam(f"{where}: concept must be a text; several are `concepts`")
    try:
        found = [name_of(text) for text in _typed(key, value, list, where)]
    except CkptError as error:
        raise BadParam(f"{where}: {error}") from error
    if not all(found) or not found:
        raise BadParam(f"{where}: {key} holds an empty name")
    return tuple(found)


def _typed(key: str, value: Any, kind: type | tuple[type, ...], where: str) -> Any:
    """The value, if it is of its type; a text alone stands for a list of it."""
    if kind is list:
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise BadParam(f"{where}: {key} must be a text, or a list of texts")
        return value
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = {str: "a text", bool: "true or false", int: "a whole number", dict: "a table"}
        named = wanted.get(kind, "a number") if isinstance(kind, type) else "a number"
        raise BadParam(f"{where}: {key} must be {named}, not {escape(value)}")
    return value
