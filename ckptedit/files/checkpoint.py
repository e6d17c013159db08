"""A checkpoint as a table of tensors that are read when asked for.

A single file, a sharded set with its index, and a folder of diffusers components look alike. In a
folder the component's name comes first: `unet.conv_in.weight`, `text_encoder_2.text_model...`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckptedit.errors import BadCheckpoint
from ckptedit.files import ledger
from ckptedit.files.header import BITS, TensorInfo
from ckptedit.files.layout import FOLDER, Part, find_layout
from ckptedit.files.names import escape
from ckptedit.files.open_file import OpenFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

log = logging.getLogger("ckptedit")

CHUNK = 1 << 20  # bytes read at a time: large enough for the disk, small enough for the cache


class Checkpoint(Mapping[str, TensorInfo]):
    """name -> TensorInfo, in the order of the bytes on disk. Opening reads headers only."""

    def __init__(self, path: str | Path, *, partly: bool = False) -> None:
        """Opens a .safetensors file, an index of shards, a folder, or `-` for stdin.

        partly: open a folder even if it has a component that cannot be read
        notes:  what is odd, one line each; unless partly, they go to the log as well
        Raises BadCheckpoint if it is missing, malformed or inconsistent.
        """
        self.path = Path(path)
        self.label = "<stdin>" if str(path) == "-" else escape(path)
        self.layout = find_layout(path)
        if not partly:
            self.layout.require_all()
        self.notes = [
            f"{self.label}: {escape(name)} is not read: {why}"
            for name, why in self.layout.unread.items()
        ]
        if names := ", ".join(map(escape, self.layout.passed_over)):
            said = "not read, and not in what is written: the full weights beside it are"
            self.notes.append(f"{self.label}: {names}: {said}")
        self.sources: list[OpenFile] = []
        self.stale: dict[Path, int] = {}  # indexes with a wrong total_size, and the right one
        self.metadata: dict[str, str] = {}
        self._tensors: dict[str, tuple[TensorInfo, OpenFile]] = {}
        self._sha256: str | None = None
        try:
            for part in self.layout.parts:
                self._add(part)
            self._check_indexes()
        except BaseException:
            self.close()
            raise
        for note in () if partly else self.notes:
            log.warning("note: %s", note)

    def _add(self, part: Part) -> None:
        source = OpenFile(part.path)
        index = len(self.sources)
        self.sources.append(source)
        self.metadata = source.header.metadata | self.metadata
        part.check(source.header, source.label)
        for tensor in source.header.tensors:
            name = part.prefix + tensor.name
            if name in self._tensors:
                raise BadCheckpoint(f"{self.label}: tensor {escape(name)} is in two shards")
            if part.prefix or index:
                where = tensor.offset, tensor.nbytes, index
                tensor = TensorInfo(name, tensor.dtype, tensor.shape, *where)
            self._tensors[name] = tensor, source

    def _check_indexes(self) -> None:
        for prefix, index in self.layout.indexes.items():
            files = zip(self.layout.parts, self.sources, strict=True)
            index.check()
            headers = [source.header for part, source in files if part.prefix == prefix]
            found = sum(tensor.nbytes for header in headers for tensor in header.tensors)
            if index.total is not None and index.total != found:
                said = f"its total_size is {index.total:.20g}, but the shards hold {found} bytes"
                self.notes.append(f"{escape(index.path)}: {said}")
                self.stale[index.path] = found

    def __getitem__(self, name: str) -> TensorInfo:
        return self._tensors[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    __eq__ = object.__eq__  # Mapping's would compare headers, and forbid hashing
    __hash__ = object.__hash__

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """What was done to this checkpoint, oldest first."""
        try:
            return ledger.read(self.metadata)
        except BadCheckpoint as error:
            raise BadCheckpoint(f"{self.label}: {error}") from error

    def source(self, name: str) -> OpenFile:
        """The open file that holds a tensor; the tensor starts at its `offset` there."""
        return self._tensors[name][1]

    def in_file(self, name: str) -> bool:
        """Whether the bytes of a tensor are in its `source`, and not only made when read."""
        return name in self

    def read_into(self, name: str, buffer: Any, start: int = 0) -> None:
        """Fills a writable buffer of bytes from the stored bytes of a tensor, from byte start on.

        Raises BadCheckpoint if the file was truncated or changed since it was opened.
        """
        info, source = self._tensors[name]
        if not 0 <= start <= start + memoryview(buffer).nbytes <= info.nbytes:
            raise IndexError(f"bytes {start} on of tensor {escape(name)}, which has {info.nbytes}")
        source.read_into(buffer, info.offset + start)

    def raw(self, name: str) -> "NDArray[np.uint8]":
        """The stored bytes: [nbytes] uint8, in memory of their own."""
        import numpy as np

        buffer = np.empty(self[name].nbytes, np.uint8)
        self.read_into(name, buffer)
        return buffer

    def chunks(self, name: str, size: int = CHUNK) -> Iterator[memoryview]:
        """The stored bytes in pieces of `size`; the next piece overwrites the one before."""
        left = self[name].nbytes
        buffer = memoryview(bytearray(min(size, left)))
        for start in range(0, left, size):
            piece = buffer[: min(size, left - start)]
            self.read_into(name, piece, start)
            yield piece

    def values(self, name: str) -> "NDArray[Any]":  # type: ignore[override]
        """The numbers, exactly: [*shape] float32; float64 if stored so; integers and bools too.

        Raises BadCheckpoint if a BOOL is neither 0 nor 1.
        """
        import numpy as np

        from ckptedit.files.dtypes import decode, decode_into, number_type

        info = self[name]
        if number_type(info.dtype) != np.float32 or info.dtype == "F32":
            raw = self.raw(name)
            if info.dtype == "BOOL" and raw.max(initial=0) > 1:
                raise BadCheckpoint(f"{self.label}: tensor {escape(name)} has bools beyond 0 and 1")
            return decode(raw, info.dtype).reshape(info.shape)
        out = np.empty(info.numel, np.float32)
        start = 0
        for piece in self.chunks(name, CHUNK // 8):
            count = len(piece) * 8 // BITS[info.dtype]
            decode_into(np.frombuffer(piece, np.uint8), info.dtype, out[start : start + count])
            start += count
        return out.reshape(info.shape)

    def tensor(self, name: str) -> "Tensor":
        """A torch tensor of the stored dtype and shape on the CPU, in memory of its own."""
        from ckptedit.files.torch_dtypes import from_raw

        return from_raw(self.raw(name), self[name])

    def data_sha256(self) -> str:
        """The digest of the tensors' bytes in order; the header does not count. Hex, cached."""
        import hashlib

        if self._sha256 is None:
            digest = hashlib.sha256()
            for name in self:
                for piece in self.chunks(name):
                    digest.update(piece)
            self._sha256 = digest.hexdigest()
        return self._sha256

    @property
    def sizes(self) -> list[int]:
        """Bytes of the file, or of each file of the folder, that an edit of it will be."""
        found = [source.stat.st_size for source in self.sources]
        return found if self.layout.kind == FOLDER else [sum(found)]

    def require_unchanged(self) -> None:
        """Raises BadCheckpoint if a file of it was written to since it was opened."""
        for source in self.sources:
            source.require_unchanged()

    def view(self, tensors: Mapping[str, TensorInfo]) -> "Checkpoint":
        """The same open files as a table of other tensors: name -> where its bytes are in them.

        Closing either closes both.
        """
        view = copy(self)
        view._tensors = {name: (info, self.sources[info.file]) for name, info in tensors.items()}
        return view

    def close(self) -> None:
        for source in self.sources:
            source.close()

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def opened(checkpoint: str | Path | Checkpoint) -> Iterator[Checkpoint]:
    """An open checkpoint as it is; one by name opened, and closed in the end."""
    if isinstance(checkpoint, Checkpoint):
        yield checkpoint
        return
    with Checkpoint(checkpoint) as found:
        yield found
