"""`merge` as a function: checkpoints and deltas in, one checkpoint out."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from math import sqrt
from pathlib import Path
from typing import Any

from ckptedit.errors import Incompatible
from ckptedit.files import Checkpoint, Kept, Written, check_output, ledger, write
from ckptedit.globs import select
from ckptedit.merging import METHODS
from ckptedit.merging.blocks import block_factors
from ckptedit.merging.copying import Copying, note_on
from ckptedit.merging.delta_edit import open_edit
from ckptedit.merging.edits import Edit
from ckptedit.merging.file_stack import Inputs
from ckptedit.merging.parallel import Workers
from ckptedit.merging.provenance import ledger_line
from ckptedit.merging.recipe import Recipe
from ckptedit.merging.stack import Model
from ckptedit.merging.strays import notes_on, stray_tensors
from ckptedit.merging.stream import Stream
from ckptedit.progress import Track, silent


@dataclass(frozen=True)
class Target:
    """Where the output goes, and what may be overwritten there.

    path:       a file, an index of shards, or `-` for stdout
    force:      whether another file may be replaced; in_place: whether an input may be
    shard_size: bytes per file; None: one file
    """

    path: str | Path
    force: bool = False
    in_place: bool = False
    shard_size: int | None = None


@dataclass(frozen=True)
class Merged:
    """What a merge wrote.

    sha256:  of the tensor data
    options: the recipe, resolved
    tensors: how many were merged, copied from the base, and taken over from an edit
    drift:   l2 of what was added, and relative to the base's weights in the merged tensors
    edits:   for each its sha256, weight, tensors touched, l2 of its task vector, and the cosine of
             that with what was added
    counts:  what the method counted (ties: entries in which a task vector was outvoted)
    nonfinite: tensors that were copied with NaN or Inf in them
    notes:   what the user should hear of, one line each
    """

    path: Path
    sha256: str
    options: dict[str, Any]
    tensors: dict[str, int]
    drift: dict[str, float]
    edits: list[dict[str, Any]]
    counts: dict[str, int]
    nonfinite: list[str]
    notes: list[str]


def merge_checkpoints(
    base: Checkpoint,
    edits: Sequence[Edit],
    target: Target,
    recipe: Recipe,
    *,
    track: Track = silent,
) -> Merged:
    """Merges edits of a base into a checkpoint with the base's names, order, shapes and dtypes.

    A tensor that an edit lacks counts as unchanged by it. A tensor that the base lacks is an error,
    or is kept or dropped as recipe.extra says. Tensors of integers must be equal everywhere.
    Raises BadParam, UnknownName, Incompatible, BadCheckpoint, Overflow and what `write` raises.
    """
    require_sound(recipe, len(edits))
    sources = [base, *(source for edit in edits for source in edit.sources)]
    check_output(target.path, sources, force=target.force, in_place=target.in_place)
    stream = make_stream(base, edits, recipe)
    strays = stray_tensors(base, edits, recipe.extra)
    with Workers(recipe.threads) as workers:
        digests = list(workers.ordered([base.data_sha256, *(e.digest for e in edits)], 2))
        metadata = ledger.append(base.metadata, ledger_line(recipe, stream, digests))
        specs = [*(base[name] for name in base), *(stray.info for stray in strays)]
        data = chain(stream.tensors(workers), map(stream.copying.whole, strays))
        written = write(
            target.path,
            specs,
            track(data, "merging", len(specs)),
            metadata,
            inputs=sources,
            force=target.force,
            in_place=target.in_place,
            shard_size=target.shard_size,
        )
    return report(stream, recipe, written, digests, strays)


def merge(
    base: str | Path,
    edits: Sequence[str | Path],
    target: Target,
    recipe: Recipe,
    *,
    track: Track = silent,
) -> Merged:
    """As `merge_checkpoints`, with inputs by name: a file, an index, a folder, `-` for stdin."""
    require_sound(recipe, len(edits))
    with ExitStack() as opened:
        start = opened.enter_context(Checkpoint(base))
        sources = [open_edit(opened.enter_context(Checkpoint(path)), start) for path in edits]
        return merge_checkpoints(start, sources, target, recipe, track=track)


def require_sound(recipe: Recipe, edits: int) -> None:
    """Raises what a wrong recipe raises, before anything is read."""
    if not edits:
        raise Incompatible("there is nothing to merge: give at least one edit")
    recipe.try_out(edits)


def make_stream(base: Checkpoint, edits: Sequence[Edit], recipe: Recipe) -> Stream:
    """The merge, ready to run. Raises what a wrong recipe raises; reads no tensor."""
    weights = recipe.resolved_weights(len(edits))
    chosen = select(list(base), recipe.keys)
    factors = block_factors(recipe.blocks, base)
    scales = {name: recipe.scale * factors[name] for name in chosen}
    model = Model(lambda: stream.stacks())
    inputs = Inputs(base, edits, weights, model)
    params, copying = recipe.resolved_params(), Copying(recipe.allow_nonfinite)
    stream = Stream(inputs, METHODS[recipe.method], params, scales, copying, recipe.saturate)
    return stream


def report(
    stream: Stream,
    recipe: Recipe,
    written: Written,
    digests: Sequence[str],
    strays: Sequence[Kept],
) -> Merged:
    """The figures of a merge that has been written."""
    inputs, products = stream.inputs, stream.products
    lengths = [sqrt(products[i, i]) for i in range(len(products))]
    edits = [
        {
            "name": edit.label,
            "sha256": digest,
            "weight": weight,
            "tensors": touched,
            "l2": length,
            "cosine": products[i, -1] / (length * lengths[-1]) if length * lengths[-1] else None,
        }
        for i, (edit, digest, weight, touched, length) in enumerate(
            zip(inputs.edits, digests[1:], inputs.weights, stream.touched, lengths, strict=False)
        )
    ]
    relative = lengths[-1] / sqrt(stream.base_square) if stream.base_square else 0.0
    merged, names = len(stream.merged), [*inputs.base, *(stray.name for stray in strays)]
    nonfinite = stream.copying.nonfinite(names)
    return Merged(
        path=written.path,
        sha256=written.sha256,
        options=recipe.options(len(edits)),
        tensors={"merged": merged, "copied": len(inputs.base) - merged, "added": len(strays)},
        drift={"l2": lengths[-1], "relative": relative},
        edits=edits,
        counts=dict(sorted(inputs.tally.counts.items())),
        nonfinite=nonfinite,
        notes=[
            *notes_on(inputs.base, inputs.edits, recipe.extra),
            *note_on(nonfinite, len(names)),
            *saturation(inputs.tally.counts["saturated"]),
        ],
    )


def saturation(count: int) -> list[str]:
    """What the user should hear of values that did not fit: one line, or none."""
    return [f"{count} values went beyond their dtype: they are its largest now"] if count else []
