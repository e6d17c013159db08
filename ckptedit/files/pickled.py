"""Tensors out of a pickle that `torch.save` wrote: `.pt`, `.bin`, `.pth`, `.ckpt`.

A pickle is a program. Nothing of it is run here: torch's reader for weights alone knows tensors,
numbers, texts and tables, and refuses a file that asks for anything else. `import` reads edits from
such files, and `eval` classifiers; it is all that reads them.
"""

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ckptedit.errors import BadCheckpoint
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.header import TensorInfo
from ckptedit.files.layout import find_layout
from ckptedit.files.names import escape

if TYPE_CHECKING:
    from torch import Tensor

MAGICS = (b"PK\x03\x04", b"\x80")  # how a pickle begins, in a zip or bare
WRAPPERS = ("state_dict",)  # a table around all others, whose name says nothing
MAX_DEPTH = 8  # of tables in each other; two are in use
FORBIDDEN = re.compile(r"(?:GLOBAL|[Uu]nsupported class) ([\w.]+)")  # as torch says it


def is_pickle(path: str | Path) -> bool:
    """Whether a file begins as a pickle does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4).startswith(MAGICS)
    except OSError:
        return False


class Unpickled(Checkpoint):
    """The tensors of a pickle as an open checkpoint. Read from disk when they are asked for."""

    def __init__(self, path: str | Path) -> None:
        """Raises BadCheckpoint if it holds anything but tables of tensors, or asks for code."""
        self.path, self.label, self.layout = Path(path), escape(path), find_layout(path)
        self.notes, self.sources, self.stale, self.metadata = [], [], {}, {}
        self._sha256 = None
        self._held: dict[str, Tensor] = {}
        for name, tensor in _tensors(_load(path, self.label), self.label):
            if name in self._held:
                raise BadCheckpoint(f"{self.label} holds {escape(name)} twice, in different tables")
            self._held[name] = tensor
        self._tensors = {
            name: (_info(name, tensor, self.label), cast(Any, None))
            for name, tensor in self._held.items()
        }

    def in_file(self, name: str) -> bool:
        return False

    def read_into(self, name: str, buffer: Any, start: int = 0) -> None:
        from ckptedit.files.torch_dtypes import to_raw

        view = memoryview(buffer).cast("B")
        view[:] = to_raw(self._held[name])[start : start + len(view)].data


def _load(path: str | Path, label: str) -> Any:
    import torch

    mapped = zipfile.is_zipfile(path)  # then what is in it is mapped, not read
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except MemoryError:
        raise
    except Exception as error:  # a reader of strangers' bytes raises whatever its parts do
        if found := FORBIDDEN.search(str(error)):
            raise BadCheckpoint(
                f"{label} is a pickle that asks for {escape(found[1])}, which is no tensor: it may "
                "be a program, and nothing of it was run; save its tensors alone"
            ) from None
        raise BadCheckpoint(  # what torch says of it ends with how to run it all the same
            f"{label} is no file of tensors as torch.save writes it ({type(error).__name__}); "
            "nothing of it was run"
        ) from None


def _tensors(value: Any, label: str, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(name, tensor) of all tables in each other; the name is that of all, with points between."""
    from torch import Tensor

    if isinstance(value, Tensor) and name:
        yield name, value.detach()
    elif (
        isinstance(value, Mapping) and depth < MAX_DEPTH and all(isinstance(k, str) for k in value)
    ):
        for key, item in value.items():
            inner = key if not name else f"{name}.{key}"
            yield from _tensors(item, label, "" if inner in WRAPPERS else inner, depth + 1)
    else:
        where = escape(name) if name else "all of it"
        raise BadCheckpoint(
            f"{label} holds something that is no tensor and no table of them: {where} is of type "
            f"{type(value).__name__}"
        )


def _info(name: str, tensor: "Tensor", label: str) -> TensorInfo:
    from ckptedit.files.torch_dtypes import STORED

    size = tensor.numel() * tensor.element_size()
    plain = tensor.layout is not None and str(tensor.layout) == "torch.strided"
    if not plain or tensor.device.type != "cpu" or tensor.dtype not in STORED:
        raise BadCheckpoint(
            f"{label}: {escape(name)} is a tensor of no kind that can be read: {tensor.dtype}, "
            f"{tensor.layout}, on {tensor.device}"
        )
    if size > tensor.untyped_storage().nbytes():  # a few bytes that claim to be millions
        raise BadCheckpoint(
            f"{label}: {escape(name)} has {tensor.untyped_storage().nbytes()} bytes, and its "
            f"shape {list(tensor.shape)} takes {size}"
        )
    return TensorInfo(name, STORED[tensor.dtype], tuple(tensor.shape), 0, size, 0)
