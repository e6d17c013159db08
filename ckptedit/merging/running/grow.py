"""A merge that is continued: one more edit is folded into the sums that a file keeps.

Reads that edit and the sums, and none of the edits before but their headers; what comes out is what
`merge` makes of all of them, with the same entry in the ledger.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ckptedit.deltas.memory import opened_edit
from ckptedit.errors import BadCheckpoint
from ckptedit.families.provenance import stamped
from ckptedit.files import Checkpoint, Spec, Written, ledger, write, write_edited
from ckptedit.merging.delta_vectors import open_vectors
from ckptedit.merging.provenance import ledger_line, told_by
from ckptedit.merging.recipe import Recipe
from ckptedit.merging.run import make_stream
from ckptedit.merging.running import RUNNING
from ckptedit.merging.running.sums import Sums
from ckptedit.merging.stack import Array
from ckptedit.merging.task_vectors import TaskVectors, is_float

KEY = "ckptedit.sums"  # in the metadata of the file of sums


@dataclass(frozen=True)
class Grown:
    """Sums over edits, on disk.

    continued: whether the last edit was added to what was there; else all were read
    """

    base: Checkpoint
    edits: Sequence[Path]
    store: Path
    digests: Sequence[str]
    continued: bool


def can_grow(recipe: Recipe) -> bool:
    """Whether a merge can be continued from sums. Raises what a wrong recipe raises."""
    if recipe.method not in RUNNING:
        return False
    kind: Any = RUNNING[recipe.method]
    return bool(kind.can(recipe.resolved_params()))


def grow(base: Checkpoint, edits: Sequence[Path], store: Path, recipe: Recipe) -> Grown:
    """Brings the sums in `store` up to these edits: by the last one, if they are those before it.

    edits: deltas of base, or edited checkpoints, one or more; store: a .safetensors file, replaced
    """
    sums: Sums = RUNNING[recipe.method](**recipe.resolved_params())
    with ExitStack() as stack:
        vectors = [
            open_vectors(stack.enter_context(opened_edit(edit, base)), base) for edit in edits
        ]
        facts = {"method": recipe.method, "params": recipe.resolved_params(),
                 "base": base.data_sha256()}  # fmt: skip
        known = _known(store, facts, edits[:-1])
        before = [each["sha256"] for each in known[1]] if known else []
        new = vectors[len(before) :]
        digests = [*before, *(edit.digest() for edit in new)]
        names = [name for name in base if _touches(vectors, name, base)]
        inputs = [
            {"name": edit.name, "sha256": sha256}
            for edit, sha256 in zip(edits, digests, strict=True)
        ]
        specs = [
            Spec(_place(name, part), "F32", (base[name].numel,))
            for name in names
            for part in sums.parts
        ]
        read = known[0] if known else None
        write(
            store,
            specs,
            _folded(base, names, sums, read, new),
            {KEY: json.dumps(facts | {"inputs": inputs})},
            force=True,
            inputs=[read] if read else [],
            in_place=True,
        )
    return Grown(base, list(edits), store, digests, bool(known))


def write_grown(grown: Grown, output: Path, recipe: Recipe, *, force: bool = False) -> Written:
    """Writes the merged checkpoint from its sums: what `merge` makes by this recipe, to the bit
    where the method's sums are exact (`running/*.py`)."""
    base, count = grown.base, len(grown.edits)
    sums: Sums = RUNNING[recipe.method](**recipe.resolved_params())
    with ExitStack() as stack:
        vectors = [
            open_vectors(stack.enter_context(opened_edit(edit, base)), base) for edit in grown.edits
        ]
        stored = Checkpoint(grown.store)
        stream = make_stream(base, vectors, recipe)
        line = ledger_line(recipe, stream, [base.data_sha256(), *grown.digests])
        metadata = stamped(ledger.append(base.metadata, line, told_by(vectors)), base)
        scale = np.float32(recipe.scale)

        def merged(name: str) -> Array:
            parts = {part: stored.values(_place(name, part)) for part in sums.parts}
            with np.errstate(all="ignore"):
                change = sums.merged(parts, count) * scale
                values = base.values(name)
                wide = values if values.dtype == np.float64 else values.astype(np.float32)
                total: Array = wide + change.reshape(values.shape)
            return total

        names = [name for name in base if _place(name, sums.parts[0]) in stored]
        edits: dict[str, Any] = {name: partial(merged, name) for name in names}
        return write_edited(output, base, edits, metadata=metadata, force=force)


def _known(
    store: Path, facts: Mapping[str, Any], edits: Sequence[Path]
) -> tuple[Checkpoint, list[dict[str, str]]] | None:
    """The sums of just these edits, and their digests; None if there are others, or none."""
    if not edits or not store.exists():
        return None
    try:
        found = Checkpoint(store)
        told = json.loads(found.metadata.get(KEY, "{}"))
    except (BadCheckpoint, ValueError):
        return None
    inputs = told.pop("inputs", [])
    names = [each["name"] for each in inputs]
    if told != json.loads(json.dumps(facts)):
        return None
    return (found, inputs) if names == [edit.name for edit in edits] else None


def _folded(
    base: Checkpoint,
    names: Sequence[str],
    sums: Sums,
    known: Checkpoint | None,
    new: Sequence[TaskVectors],
) -> Iterator[Array]:
    """The stored bytes of each sum of each tensor."""
    for name in names:
        size = base[name].numel
        parts = sums.empty(size)
        if known is not None and _place(name, sums.parts[0]) in known:
            parts = {part: known.values(_place(name, part)).copy() for part in sums.parts}
        for edit in new:
            if (fill := edit.fill(base, name)) is not None:
                delta = np.empty(size, np.float32)
                fill(0, size, base.values(name).astype(np.float32).ravel(), delta)
                sums.fold(parts, delta)
        yield from (parts[part].astype(np.float32).view(np.uint8) for part in sums.parts)


def _touches(vectors: Sequence[TaskVectors], name: str, base: Checkpoint) -> bool:
    return is_float(base[name].dtype) and any(name in edit.names() for edit in vectors)


def _place(name: str, part: str) -> str:
    return f"{name}:{part}"
