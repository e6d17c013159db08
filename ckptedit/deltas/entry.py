"""One changed tensor of a delta file: its entry in the metadata, and what it is made of."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import LowRank
from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint, Spec, escape
from ckptedit.files.dtypes import FLOATS
from ckptedit.files.header import BITS

Form = Literal["lora", "diff", "set"]


@dataclass(frozen=True)
class Entry:
    """One changed tensor.

    key:    what its tensors in the delta file begin with
    form:   a Form; of a file of another tool, the kind of its change
    dtype, shape: as the base stores it
    base, result: sha256 of its bytes before and after; None in a file of another tool
    off:    entries that applying leaves other than in the checkpoint the delta was made from, and
            the largest difference; (0, 0) if it is the same to the bit
    back:   the same of the base, after taking the delta out again
    edited: sha256 of its bytes in the checkpoint that the delta was made from, if off is not 0
    undone: as back, after taking the delta out of that checkpoint
    """

    key: str
    form: str
    dtype: str
    shape: tuple[int, ...]
    base: str | None = None
    result: str | None = None
    off: tuple[int, float] = (0, 0.0)
    back: tuple[int, float] = (0, 0.0)
    edited: str | None = None
    undone: tuple[int, float] = (0, 0.0)

    def as_dict(self) -> dict[str, Any]:
        """For the metadata; what is exact is not mentioned."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: value for name, value in fields.items() if value != (0, 0.0)}


SUFFIXES: dict[str, tuple[str, ...]] = {
    "lora": (".lora_up.weight", ".lora_down.weight", ".alpha"),
    "diff": ("",),
    "set": (".set_weight", ".ckptedit_old"),
}


def total(errors: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Errors of several tensors: entries in all, and the largest."""
    return sum(count for count, _ in errors), max((worst for _, worst in errors), default=0.0)


def parse_entry(fields: Any, where: str) -> Entry:
    """An entry from the metadata. Raises BadCheckpoint that begins with `where`."""
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
            edited=str(fields["edited"]) if "edited" in fields else None,
            undone=_pair(fields.get("undone", (0, 0.0))),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadCheckpoint(f"{where}: {error!r} in its description") from error
    if entry.form not in get_args(Form) or entry.dtype not in BITS:
        raise BadCheckpoint(f"{where}: unknown form {entry.form!r} or dtype {entry.dtype!r}")
    return entry


def _pair(value: Any) -> tuple[int, float]:
    count, worst = value
    return int(count), float(worst)


def check_parts(checkpoint: Checkpoint, name: str, entry: Entry) -> None:
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
