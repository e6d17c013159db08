"""`merge` as a function: checkpoints and deltas in, one checkpoint out."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from ckptedit.deltas import Delta
from ckptedit.deltas.foreign import require_whole
from ckptedit.deltas.memory import opened_edit
from ckptedit.deltas.sides import Changes
from ckptedit.errors import BadParam, Incompatible
from ckptedit.families.provenance import stamped
from ckptedit.files import (
    Checkpoint,
    check_output,
    check_space,
    ledger,
    opened,
    require_weights,
    write,
)
from ckptedit.globs import select
from ckptedit.merging.blocks import block_factors
from ckptedit.merging.copying import Copying
from ckptedit.merging.delta_vectors import open_vectors
from ckptedit.merging.file_stack import Inputs
from ckptedit.merging.kinds import require_one_kind
from ckptedit.merging.methods import METHODS
from ckptedit.merging.parallel import Workers
from ckptedit.merging.provenance import ledger_line, metadata_of, told_by
from ckptedit.merging.recipe import Extra, Recipe
from ckptedit.merging.report import Merged, report
from ckptedit.merging.stack import WholeMerge
from ckptedit.merging.strays import stray_tensors
from ckptedit.merging.stream import Stream
from ckptedit.merging.task_vectors import TaskVectors
from ckptedit.progress import Track, silent

Given = str | Path | Checkpoint | Delta | Changes  # an edit


def merge(
    base: str | Path | Checkpoint,
    edits: Given | Sequence[Given],
    output: str | Path,
    *,
    method: str = "ties",
    params: Mapping[str, Any] | None = None,
    weights: Sequence[float] = (),
    scale: float = 1.0,
    blocks: Mapping[str, float] | None = None,
    keys: Sequence[str] = (),
    extra: Extra = "error",
    allow_nonfinite: bool = False,
    saturate: bool = False,
    seed: int | None = None,
    threads: int = 2,
    force: bool = False,
    in_place: bool = False,
    shard_size: int | None = None,
    track: Track = silent,
    **hyperparameters: Any,
) -> Merged:
    """Merges edits of a base into a checkpoint with the base's names, order, shapes and dtypes.

    base:    a checkpoint by name (a file, an index, a folder, `-` for stdin) or an open one
    edits:   one or several: edited checkpoints, deltas or LoRAs, by name or open; or changes in
             memory, by the name of the base's tensor
    output:  a file, an index of shards, a folder where the base is one, or `-` for stdout
    method:  a name in METHODS; its parameters come by keyword, `density=0.3`, or in params
    weights: one per edit; none stands for all 1
    scale:   factor of what is added: any number; blocks: block, or pattern -> another factor
    keys:    patterns of the tensors that are merged; none stands for all
    extra:   what to do about tensors that an edit has and the base has not: error, keep or drop
    saturate: whether values beyond their stored dtype become its largest; else they are an error
    allow_nonfinite: whether tensors that are only copied may hold NaN or Inf
    seed:    of methods that draw random numbers; threads: 1 or more, the result is the same
    force, in_place: whether another file, or an input, may be replaced; force merges models that
             predict different things, too
    shard_size: bytes per file; None: one file
    A tensor that an edit lacks counts as unchanged by it. Tensors of integers must be equal
    everywhere. Raises BadParam, UnknownName, Incompatible, BadCheckpoint, Overflow and what `write`
    raises.
    """
    given = both(params or {}, hyperparameters)
    recipe = Recipe(method, given, tuple(weights), scale, dict(blocks or {}), tuple(keys), extra,
                    allow_nonfinite, saturate, seed, threads)  # fmt: skip
    if isinstance(edits, str | Path | Delta | Mapping):
        edits = [edits]
    require_sound(recipe, len(edits))
    with ExitStack() as stack:
        start = stack.enter_context(opened(base))
        require_weights(start)
        require_whole(start)
        found = [stack.enter_context(opened_edit(edit, start)) for edit in edits]
        if not force:
            require_one_kind(start, found)
        vectors = [open_vectors(edit, start) for edit in found]
        sources = [start, *(source for edit in vectors for source in edit.sources)]
        require_weights(*sources)
        check_output(output, sources, force=force, in_place=in_place)
        if shard_size is None:  # else `write` reserves it, file by file
            check_space(output, start.sizes)
        stream = make_stream(start, vectors, recipe)
        strays = stray_tensors(start, vectors, recipe.extra)
        with Workers(threads) as workers:
            digests = list(workers.ordered([start.data_sha256, *(e.digest for e in vectors)], 2))
            line = ledger_line(recipe, stream, digests, strays)
            metadata = ledger.append(start.metadata, line, told_by(vectors))
            metadata = stamped(metadata, start, metadata_of(found, digests[1:]))
            specs = [*(start[name] for name in start), *(stray.info for stray in strays)]
            data = chain(stream.tensors(workers), map(stream.copying.whole, strays))
            written = write(
                output,
                specs,
                track(data, "merging", len(specs)),
                metadata,
                inputs=sources,
                force=force,
                in_place=in_place,
                shard_size=shard_size,
            )
        return report(stream, recipe, written, digests, strays)


def both(params: Mapping[str, Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a method that are given in a table and by keyword; BadParam if one is twice."""
    if twice := params.keys() & keywords.keys():
        raise BadParam(f"{min(twice)} is given twice: in params, and by keyword")
    return {**params, **keywords}


def require_sound(recipe: Recipe, edits: int) -> None:
    """Raises what a wrong recipe raises, before anything is read."""
    if not edits:
        raise Incompatible("there is nothing to merge: give at least one edit")
    recipe.try_out(edits)


def make_stream(base: Checkpoint, edits: Sequence[TaskVectors], recipe: Recipe) -> Stream:
    """The merge, ready to run. Raises what a wrong recipe raises; reads no tensor."""
    weights = recipe.resolved_weights(len(edits))
    chosen = select(list(base), recipe.keys)
    factors = block_factors(recipe.blocks, base)
    scales = {name: recipe.scale * factors[name] for name in chosen}
    model = WholeMerge(lambda: stream.stacks())
    inputs = Inputs(base, edits, weights, model)
    params, copying = recipe.resolved_params(), Copying(recipe.allow_nonfinite)
    stream = Stream(inputs, METHODS[recipe.method], params, scales, copying, recipe.saturate)
    return stream
