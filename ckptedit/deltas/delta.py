"""A delta file: named changes of a base checkpoint, in a form that image tools load as well.

For each tensor, under the key of its module (`keys.py`):
  lora  `.lora_up.weight` [out, r], `.lora_down.weight` [r, in], `.alpha`: the change is up @ down
  diff  `.diff` (of a bias `.diff_b`): the change itself, float32
  set   `.set_weight`: the stored values after the edit, beside `.ckptedit_old`: those before
and in the metadata what they belong to: see `Entry` and docs/delta.md. A tensor `gram` [d, d], if
there is one, is E Eᵀ of the embeddings that a K/V edit was made for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Change, Dense, LowRank, Replacement
from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint, Spec, escape
from ckptedit.files.dtypes import FLOATS
from ckptedit.files.header import BITS

FORMAT, VERSION = "ckptedit.format", "delta/1"
BASE, RESULT, TENSORS = "ckptedit.base", "ckptedit.result", "ckptedit.tensors"
FAMILY, EXACT = "ckptedit.family", "ckptedit.exact"
GRAM = "gram"

Form = Literal["lora", "diff", "set"]


@dataclass(frozen=True)
class Entry:
    """One changed tensor.

    key:    what its tensors in the delta file begin with
    dtype, shape: as the base stores it
    base, result: sha256 of its bytes before and after; None in a file of another tool
    off:    entries that applying leaves other than in the checkpoint the delta was made from, and
            the largest difference; (0, 0) if it is the same to the bit
    back:   the same of the base, after taking the delta out again
    """

    key: str
    form: Form
    dtype: str
    shape: tuple[int, ...]
    base: str | None = None
    result: str | None = None
    off: tuple[int, float] = (0, 0.0)
    back: tuple[int, float] = (0, 0.0)

    @property
    def known(self) -> bool:
        return self.base is not None

    def as_dict(self) -> dict[str, Any]:
        """For the metadata; what is exact is not mentioned."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: value for name, value in fields.items() if value != (0, 0.0)}


SUFFIXES: dict[str, tuple[str, ...]] = {
    "lora": (".lora_up.weight", ".lora_down.weight", ".alpha"),
    "diff": ("",),
    "set": (".set_weight", ".ckptedit_old"),
}


class Delta:
    """An open delta file. Changes are read when asked for."""

    def __init__(self, checkpoint: Checkpoint, entries: Mapping[str, Entry]) -> None:
        """entries: by the name of the base's tensor"""
        self.checkpoint, self.label = checkpoint, checkpoint.label
        self.entries = dict(entries)
        self.metadata = checkpoint.metadata
        self.base_sha256 = self._digest(BASE)
        self.result_sha256 = self._digest(RESULT)
        self.family = self.metadata.get(FAMILY)

    def _digest(self, key: str) -> str | None:
        found = _object(self.metadata.get(key, "{}"), f"{self.label}: {key}").get("sha256")
        return found if isinstance(found, str) else None

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """What was done between base and result, oldest first."""
        return self.checkpoint.ledger

    def change(self, name: str) -> Change:
        """The change of one tensor of the base. Raises BadCheckpoint if it holds NaN or Inf."""
        entry, file = self.entries[name], self.checkpoint
        if entry.form == "set":
            new, old = (file.raw(entry.key + suffix) for suffix in SUFFIXES["set"])
            return Replacement(old, new, entry.dtype)
        if entry.form == "diff":
            return Dense(self._values(entry.key))
        up, down = (self._values(entry.key + suffix) for suffix in SUFFIXES["lora"][:2])
        scale = 1.0
        if entry.key + ".alpha" in file:
            scale = float(file.values(entry.key + ".alpha")) / len(down)
        return LowRank(up.reshape(len(up), -1), down.reshape(len(down), -1), scale)

    def _values(self, key: str) -> NDArray[Any]:
        values = self.checkpoint.values(key)
        if not np.isfinite(values).all():
            raise BadCheckpoint(f"{self.label}: tensor {escape(key)} holds NaN or Inf")
        return values

    def gram(self) -> NDArray[Any] | None:
        """[d, d] E Eᵀ of the embeddings that the edit was made for, if the file says."""
        return self._values(GRAM) if GRAM in self.checkpoint else None


def is_delta(checkpoint: Checkpoint) -> bool:
    """Whether a file says of itself that it is a delta of this tool."""
    return FORMAT in checkpoint.metadata


def open_delta(checkpoint: Checkpoint) -> Delta:
    """A delta from an open file. Raises BadCheckpoint if it is none, or is inconsistent."""
    version = checkpoint.metadata.get(FORMAT)
    if version is None:
        raise BadCheckpoint(
            f"{checkpoint.label} is no delta: `ckptedit diff BASE EDITED -o` writes one"
        )
    if version != VERSION:
        raise BadCheckpoint(f"{checkpoint.label}: its format is {escape(version)}, not {VERSION}")
    where = f"{checkpoint.label}: {TENSORS}"
    said = _object(checkpoint.metadata.get(TENSORS, ""), where)
    entries = {name: _entry(fields, f"{where}, {escape(name)}") for name, fields in said.items()}
    for name, entry in entries.items():
        _check_parts(checkpoint, name, entry)
    return Delta(checkpoint, entries)


def read_delta(path: str | Path) -> dict[str, NDArray[np.float32]]:
    """Reads a delta file whole: name in the base -> edited less base, [*shape] float32.

    Raises BadCheckpoint, and BadParam if a tensor is not of floats.
    """
    with Checkpoint(path) as checkpoint:
        delta = open_delta(checkpoint)
        found = {}
        for name, entry in delta.entries.items():
            flat = delta.change(name).stretch(0, int(np.prod(entry.shape)))
            found[name] = flat.astype(np.float32).reshape(entry.shape)
        return found


def total(errors: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Errors of several tensors: entries in all, and the largest."""
    return sum(count for count, _ in errors), max((worst for _, worst in errors), default=0.0)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{where} is not JSON") from error
    if not isinstance(found, dict):
        raise BadCheckpoint(f"{where} is not a JSON object")
    return found


def _entry(fields: Any, where: str) -> Entry:
    try:
        entry = Entry(
            key=str(fields["key"]),
            form=fields["form"],
            dtype=str(fields["dtype"]),
            shape=tuple(int(length) for length in fields["shape"]),
            base=str(fields["base"]),
            result=str(fields["result"]),
            off=_pair(fields.get("off", (0, 0.0))),
            back=_pair(fields.get("back", (0, 0.0))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{where}: {error!r} in its description") from error
    if entry.form not in get_args(Form) or entry.dtype not in BITS:
        raise BadCheckpoint(f"{where}: unknown form {entry.form!r} or dtype {entry.dtype!r}")
    return entry


def _pair(value: Any) -> tuple[int, float]:
    count, worst = value
    return int(count), float(worst)


def _check_parts(checkpoint: Checkpoint, name: str, entry: Entry) -> None:
    """Raises BadCheckpoint if the tensors of an entry are missing or do not have its shape."""
    keys = [entry.key + suffix for suffix in SUFFIXES[entry.form]]
    where = f"{checkpoint.label}: the change of {escape(name)}"
    for key in keys:
        if key not in checkpoint:
            raise BadCheckpoint(f"{where} lacks its tensor {escape(key)}")
        if entry.form != "set" and checkpoint[key].dtype not in FLOATS:
            raise BadCheckpoint(f"{where} is of {checkpoint[key].dtype}, not of floats")
    shapes = [checkpoint[key].shape for key in keys]
    if entry.form == "lora":
        fits = lora_fits(shapes[0], shapes[1], entry.shape) and shapes[2] == ()
    else:
        fits = all(shape == entry.shape for shape in shapes)
        if entry.form == "set":
            fits = fits and all(checkpoint[key].dtype == entry.dtype for key in keys)
    if not fits:
        raise BadCheckpoint(f"{where} is {shapes}, for a tensor {list(entry.shape)}")


def lora_fits(up: tuple[int, ...], down: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether factors make a change of this shape: [out, r] and [r, in], or a convolution's."""
    if len(shape) < 2 or len(up) != len(shape) or len(down) != len(shape):
        return False
    ones = all(length == 1 for length in up[2:])
    return ones and up[0] == shape[0] and up[1] == down[0] > 0 and down[1:] == shape[1:]


def lora_tensors(
    key: str, factors: LowRank, shape: tuple[int, ...]
) -> list[tuple[Spec, NDArray[np.float32]]]:
    """The tensors of a low-rank change of a weight of this shape, with alpha = rank: no scale."""
    out, rank = factors.up.shape
    shapes = [(out, rank) + (1,) * (len(shape) - 2), (rank, *shape[1:]), ()]
    arrays = [factors.up, factors.down, np.array(rank, np.float32)]
    keys = [key + suffix for suffix in SUFFIXES["lora"]]
    return [
        (Spec(name, "F32", size), np.ascontiguousarray(array.reshape(size)))
        for name, size, array in zip(keys, shapes, arrays, strict=True)
    ]
