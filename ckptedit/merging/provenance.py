"""What a merge writes into the ledger: its recipe, and the ledgers of all that went into it."""

from collections.abc import Mapping, Sequence
from typing import Any

from ckptedit.deltas import Delta
from ckptedit.files import Checkpoint, Kept, ledger
from ckptedit.files.history import Line, digest, flattened, trunk
from ckptedit.files.touched import patterns
from ckptedit.merging.recipe import Recipe
from ckptedit.merging.stream import Stream
from ckptedit.merging.task_vectors import TaskVectors, is_float


def ledger_line(
    recipe: Recipe, stream: Stream, digests: Sequence[str], strays: Sequence[Kept] = ()
) -> dict[str, Any]:
    """The entry of a merge; it refers to entries of the edits' ledgers by their digests.

    digests: sha256 of the tensor data of base and edits; strays: tensors that are added
    `inputs` has for each edit its digest, weight, and the entries of its ledger that are about more
    than the base. Which of them the output has, the recipe tells, not the data: `added` lists them
    if it is not all, `taken_out` those of the base that it has no more. `concepts` is what the
    added ones were about, so that readers of the output need not look further.
    """
    base, edits, weights = stream.inputs.base, stream.inputs.edits, stream.inputs.weights
    known = trunk(base.ledger)
    ledgers = [edit.lines_on(known) for edit in edits]
    inputs = [
        {"sha256": sha256, "weight": weight, "ledger": [digest(line) for line in lines]}
        for sha256, weight, lines in zip(digests[1:], weights, ledgers, strict=True)
    ]
    shares = recipe.shares(len(edits))
    factors = [
        strongest(edit, share, base, stream.scales)
        for edit, share in zip(edits, shares, strict=True)
    ]
    totals = total_factors(ledgers, factors)
    added = [line for line, total in totals if total > 0]
    facts: dict[str, Any] = {"inputs": inputs, **_touched(stream, strays)}
    if len(added) < len(totals):
        facts["added"] = [digest(line) for line in added]
    if taken_out := [digest(line) for line, total in totals if total < 0 and line in known]:
        facts["taken_out"] = taken_out
    if concepts := ledger.concepts_of(flattened(added, told_by(edits))):
        facts["concepts"] = concepts
    options = recipe.options(len(edits))
    seed = options["params"].get("seed")
    return ledger.entry("merge", options, digests[0], seed=seed, **facts)


def _touched(stream: Stream, strays: Sequence[Kept]) -> dict[str, Any]:
    """What the output may have otherwise than the base: of floats, what an edit speaks of."""
    base, added = stream.inputs.base, [stray.name for stray in strays]
    spoken = {name for edit in stream.inputs.edits for name in edit.names()}
    merged = [n for n in base if n in spoken and stream.scales.get(n) and is_float(base[n].dtype)]
    return patterns([*merged, *added], [*base, *added])


def metadata_of(
    edits: Sequence[Checkpoint | Delta], digests: Sequence[str]
) -> dict[str, Mapping[str, str]]:
    """sha256 of its data -> the metadata of each edit that is a checkpoint."""
    pairs = zip(edits, digests, strict=True)
    return {sha256: edit.metadata for edit, sha256 in pairs if isinstance(edit, Checkpoint)}


def told_by(edits: Sequence[TaskVectors]) -> list[Line]:
    """All entries of the edits' ledgers: what that of a merge may refer to."""
    return [line for edit in edits for line in edit.ledger]


def strongest(
    edit: TaskVectors, share: float, base: Checkpoint, scales: Mapping[str, float]
) -> float:
    """What an edit is multiplied by in the tensor where that is largest; 0 if it is in none."""
    found = {
        share * scales[name]
        for name in edit.names()
        if name in scales and is_float(base[name].dtype)
    }
    return max(found, default=0.0) or min(found, default=0.0)


def total_factors(
    ledgers: Sequence[Sequence[Line]], factors: Sequence[float]
) -> list[tuple[Line, float]]:
    """Every entry once, with the sum of the factors of the edits that have it: of two edits that
    share a history, one taken from the other leaves what is not shared."""
    totals: dict[str, tuple[Line, float]] = {}
    for lines, factor in zip(ledgers, factors, strict=True):
        for line in lines:
            key = digest(line)
            before = totals[key][1] if key in totals else 0.0
            totals[key] = line, before + factor
    return list(totals.values())
