"""Writes checkpoints: header first, then the tensors in order, as they come.

What is only copied is read before its turn, and all is hashed on the way.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ckptedit.errors import Incompatible
from ckptedit.files.checkpoint import CHUNK, Checkpoint
from ckptedit.files.dtypes import NewValues, stored_bytes
from ckptedit.files.hashing import Hasher
from ckptedit.files.header import Spec, TensorInfo
from ckptedit.files.ledger import without_identity
from ckptedit.files.names import escape
from ckptedit.files.permission import check_output
from ckptedit.files.plan import OutputPlan, make_plan
from ckptedit.files.sinks import Sink, open_plan

AHEAD = 8  # pieces of CHUNK bytes that are read before they are written

Buffer: TypeAlias = Any  # bytes, bytearray, memoryview, or a contiguous numpy array of any dtype


@dataclass(frozen=True, slots=True)
class Written:
    path: Path
    sha256: str  # of the tensor data, without the header


@dataclass(frozen=True, slots=True)
class Kept:
    """A tensor that goes into an output as a checkpoint has it."""

    checkpoint: Checkpoint
    name: str

    @property
    def info(self) -> TensorInfo:
        return self.checkpoint[self.name]

    def read(self, room: memoryview, start: int) -> memoryview:
        """The stored bytes from start on, as many as there is room for."""
        piece = room[: min(len(room), self.info.nbytes - start)]
        self.checkpoint.read_into(self.name, piece, start)
        return piece


Content: TypeAlias = Kept | Buffer | Iterable[Buffer]


def write(
    target: str | Path,
    specs: Sequence[Spec | TensorInfo],
    data: Iterable[Content],
    metadata: Mapping[str, str],
    *,
    force: bool = False,
    inputs: Sequence[Checkpoint] = (),
    in_place: bool = False,
    shard_size: int | None = None,
) -> Written:
    """Writes a checkpoint whose tensors are computed one after the other.

    target: a .safetensors file, `-` for stdout, or an index (NAME.safetensors.index.json); where
    the first input is a diffusers folder and these are its tensors, a new folder like it
    specs: the tensors, in the order of the file
    data: for each of them its stored bytes, as one buffer or several, which a generator may reuse:
    the next one is asked for when it is written; or Kept, which is read ahead
    inputs: what data is read from, the base first; in_place: whether one may be overwritten
    shard_size: bytes of tensors per file; what does not fit into one makes shards and an index
    Raises OutputExists, WriteFailed (disk full), Incompatible (data does not fit specs) and
    BadCheckpoint (an input changed meanwhile); then there is nothing new at target.
    """
    check_output(target, inputs, force=force, in_place=in_place)
    plan = make_plan(target, specs, metadata, inputs[0] if inputs else None, shard_size)
    for path in plan.paths:
        check_output(path, inputs, force=force, in_place=in_place)
    return write_plan(plan, data, inputs=inputs, replace=force or in_place)


def write_plan(
    plan: OutputPlan, data: Iterable[Content], *, inputs: Sequence[Checkpoint], replace: bool
) -> Written:
    """Writes the files of a plan. data, inputs and what it raises: as of `write`."""
    with open_plan(plan, replace=replace) as sinks, Hasher() as hasher:
        pieces = feed(data, hasher)
        for sink, file in zip(sinks, plan.files, strict=True):
            sink.write(memoryview(file.header))
            for spec in file.specs:
                _write_tensor(sink, spec, iter(pieces.__next__, None))
        for _ in pieces:
            raise Incompatible("there is more data than tensors")
        for checkpoint in inputs:
            checkpoint.require_unchanged()
    return Written(plan.target, hasher.hexdigest())


def _write_tensor(sink: Sink, spec: Spec | TensorInfo, pieces: Iterable[memoryview]) -> None:
    left = spec.nbytes
    for piece in pieces:
        left -= piece.nbytes
        if left < 0:
            break
        sink.write(piece)
    if left:
        raise Incompatible(
            f"tensor {escape(spec.name)} takes {spec.nbytes} bytes as {spec.dtype} "
            f"{list(spec.shape)}, but its data has {'more' if left < 0 else 'less'}"
        )


def write_edited(
    target: str | Path,
    base: Checkpoint,
    edits: Mapping[str, NewValues],
    *,
    metadata: Mapping[str, str] | None = None,
    force: bool = False,
    in_place: bool = False,
    shard_size: int | None = None,
) -> Written:
    """Writes base with some tensors replaced; everything else stays bit for bit.

    edits: name -> new values, or a function that returns them, called in file order; see
    `stored_bytes` for what they may be
    metadata: instead of base's own, less what identified the old file
    Raises Incompatible if a name or shape is not base's, Overflow, and what `write` raises.
    """
    unknown = edits.keys() - base.keys()
    if unknown:
        raise Incompatible(f"{base.label} has no tensor {escape(min(unknown))}")
    kept = dict(base.metadata if metadata is None else metadata)
    tensors: Iterator[Content] = (
        stored_bytes(edits[name], base[name]) if name in edits else Kept(base, name)
        for name in base
    )
    return write(
        target,
        [base[name] for name in base],
        tensors,
        without_identity(kept) if edits else kept,
        force=force,
        inputs=[base],
        in_place=in_place,
        shard_size=shard_size,
    )


def feed(tensors: Iterable[Content], hasher: Hasher) -> Iterator[memoryview | None]:
    """The bytes of all tensors in pieces, with None after the last piece of each.

    A piece may be overwritten as soon as the next one is asked for. The hasher's thread also reads
    what is kept: so it hashes what its own core has at hand, and whoever writes the pieces does
    nothing else. A tensor that is not kept is asked for its bytes when all before it is written.
    Raises BadCheckpoint if a file was truncated or changed since it was opened.
    """
    rooms = cycle([memoryview(bytearray(CHUNK)) for _ in range(AHEAD)])
    coming: deque[Future[memoryview] | None] = deque()
    for tensor in tensors:
        if isinstance(tensor, Kept):
            for start in range(0, tensor.info.nbytes, CHUNK):
                coming.append(hasher.adding(partial(tensor.read, next(rooms), start)))
                yield from _arrived(coming, AHEAD - 1)
            coming.append(None)
            continue
        yield from _arrived(coming, 0)
        for buffer in _buffers(tensor):
            with hasher.updating(buffer):
                yield buffer
        yield None
    yield from _arrived(coming, 0)


def _arrived(coming: deque[Future[memoryview] | None], left: int) -> Iterator[memoryview | None]:
    """Takes from the front until no more than `left` are coming."""
    while len(coming) > left:
        first = coming.popleft()
        yield None if first is None else first.result()


def _buffers(tensor: Buffer | Iterable[Buffer]) -> Iterator[memoryview]:
    if isinstance(tensor, bytes | bytearray | memoryview | np.ndarray):
        tensor = [tensor]
    for buffer in tensor:
        if isinstance(buffer, np.ndarray):  # a memoryview of bfloat16, or of nothing, has no bytes
            buffer = np.ascontiguousarray(buffer).reshape(-1).view(np.uint8).data
        yield memoryview(buffer).cast("B")
