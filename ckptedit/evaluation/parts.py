"""The answers of one evaluation, or of a shard of it, as a file; and all shards as one again.

A part is a JSON object: what was asked, of which weights, and what the eyes saw, cell by cell. All
parts of one evaluation give exactly what it gives in one run, without any other file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ckptedit.errors import BadCheckpoint, BadParam, CkptError
from ckptedit.evaluation.fidelity import Fidelity, distance, paired_kid
from ckptedit.evaluation.score import Drawn, Scores, names_erased, score
from ckptedit.evaluation.shard import Shard, of_shard
from ckptedit.evaluation.suite import Suite
from ckptedit.files import escape
from ckptedit.files.bounded import read_json

FORM = "ckptedit eval part 1"
MAX_BYTES = 1 << 28  # of a part
COLUMNS = ("style", "object", "fit", "detector", "features")  # of answers, as `Drawn` has them

Columns = Mapping[str, list[Any]]  # one row for each cell of the shard


@dataclass(frozen=True)
class Part:
    """What the eyes saw in a shard of an evaluation.

    asked: what makes two parts of one evaluation: the suite, the weights' digests, the tokenizer's,
           the eyes' keys
    seen, against: columns of answers about the checkpoint, and about the other one
    reference: packed features of a folder's pictures, if the evaluation has one
    tokenizer: what its prompts were read with, for people
    """

    asked: dict[str, Any]
    shard: Shard
    seen: Columns
    against: Columns | None = None
    reference: list[str] | None = None
    tokenizer: dict[str, Any] | None = None

    def as_json(self) -> str:
        return json.dumps({"form": FORM, **asdict(self)}) + "\n"


def read_part(path: str | Path) -> Part:
    """Raises BadParam if the file is no part."""
    try:
        found = read_json(path, MAX_BYTES)
        if found.pop("form", None) != FORM:
            raise BadCheckpoint("it does not say that it is one")
        part = Part(**found | {"shard": tuple(found["shard"])})
        _drawn([part], suite_of(part.asked))
    except (CkptError, LookupError, TypeError, ValueError) as error:
        what = str(error) if isinstance(error, CkptError) else f"it lacks {error}"
        raise BadParam(
            f"{escape(path)} is no part of an evaluation, as `eval --shard` writes it: {what}"
        ) from None
    return part


def merged(parts: Sequence[Part]) -> Scores:
    """The figures of all parts of one evaluation, in any order.

    Raises BadParam if they are not of one evaluation, or one is missing or there twice.
    """
    if not parts:
        raise BadParam("no parts of an evaluation were named")
    for part in parts:
        for key, value in parts[0].asked.items():
            if part.asked.get(key) != value:
                raise BadParam(
                    f"the parts are not of one evaluation: the {key} of shard "
                    f"{part.shard[0]}/{part.shard[1]} is another than that of the first named"
                )
    total = parts[0].shard[1]
    numbers = sorted(part.shard[0] for part in parts)
    if {part.shard[1] for part in parts} != {total} or numbers != list(range(1, total + 1)):
        named = ", ".join("/".join(map(str, part.shard)) for part in parts)
        raise BadParam(f"need each of the {total} shards once, got {named}")
    suite, shown = suite_of(parts[0].asked), set(parts[0].asked["shown"])
    drawn, others = _drawn(parts, suite), _drawn(parts, suite, against=True)
    scores = score(drawn, suite, shown, others or None)
    return replace(scores, fidelity=_fidelity(parts[0], suite, drawn, others))


def _fidelity(
    part: Part, suite: Suite, drawn: Sequence[Drawn], others: Sequence[Drawn]
) -> Fidelity | None:
    """Of the pictures that name nothing erased; None where nobody compared any."""
    name = part.asked.get("features")
    if name is None:
        return None
    mine, theirs = (
        [d.features for d in of if d.features is not None and not names_erased(d.cell, suite)]
        for of in (drawn, others)
    )
    return Fidelity(name, distance(mine, theirs, paired_kid), distance(mine, part.reference or []))


def suite_of(asked: Mapping[str, Any]) -> Suite:
    lists = {
        name: tuple(asked.get(name, ()))
        for name in ("erased", "styles", "objects", "published", "prompts")
    }
    return Suite(seeds=int(asked["seeds"]), frame=str(asked["frame"]), **lists)


def _drawn(parts: Sequence[Part], suite: Suite, *, against: bool = False) -> list[Drawn]:
    """The cells of the parts in the order of the suite, with the answers."""
    cells = suite.cells()
    found: dict[int, Drawn] = {}
    for part in parts:
        columns = part.against if against else part.seen
        if columns is None:
            return []
        at = of_shard(cells, part.shard)
        answers = [columns.get(name) or [None] * len(at) for name in COLUMNS]
        for index, *row in zip(at, *answers, strict=True):
            found[index] = Drawn(cells[index], *row)
    return [found[index] for index in sorted(found)]
