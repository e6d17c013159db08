"""The weights of a checkpoint that an edit may change, and their averaged copies."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ckptedit.deltas.change import Dense, LowRank
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import KV, Family, average_name, kv_weights
from ckptedit.families.spelling import stored_name
from ckptedit.files import Checkpoint, escape
from ckptedit.text.tower import FIRST_OUTPUT

TEXT = f"text_encoder.{FIRST_OUTPUT}.weight"
Change = LowRank | Dense


class KVWeights(Mapping[str, Tensor]):
    """key -> W [out, d] float32 on the CPU, read when asked for, in file order.

    roles:  "k", "v", "kv", or "te": the output of the text encoder's first self-attention
    copies: name -> the name of its averaged copy, where training left one in the file. Some loaders
    prefer it, and it knows the concept as well.
    A key is the tensor's name, or `KV.key` where only some rows of a tensor are meant.
    """

    def __init__(self, checkpoint: Checkpoint, family: Family, roles: str = "kv") -> None:
        self.checkpoint = checkpoint
        if roles == "te":
            if len(family.readers) != 1:
                raise BadParam(
                    f"{family.name} reads {len(family.readers)} text encoders, and an edit of one "
                    f"leaves the concept in the others; name another method"
                )
            found = [KV(stored_name(checkpoint, family, TEXT), "", "te")]
        else:
            found = [weight for weight in kv_weights(checkpoint, family) if weight.role in roles]
        if not found:
            raise BadParam(f"{family.name} has no such weights to edit as --params {roles}")
        self.pieces = {weight.key: weight for weight in found}
        names = dict.fromkeys(weight.name for weight in found)
        averaged = {name: average_name(name) for name in names}
        self.copies = {name: copy for name, copy in averaged.items() if copy in checkpoint}
        for name, copy in self.copies.items():
            if checkpoint[copy].shape != checkpoint[name].shape:
                raise BadCheckpoint(
                    f"{checkpoint.label}: {escape(copy)} is no copy of {escape(name)}: "
                    f"{list(checkpoint[copy].shape)} and {list(checkpoint[name].shape)}"
                )

    def __getitem__(self, key: str) -> Tensor:
        piece = self.pieces[key]
        whole = self.checkpoint.tensor(piece.name).float()
        return whole if piece.rows is None else whole[slice(*piece.rows)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def stored(self) -> list[str]:
        """The file's tensors that an edit may change, copies among them."""
        return [*dict.fromkeys(piece.name for piece in self.pieces.values()), *self.copies.values()]

    def whole(self, edits: Mapping[str, Change]) -> dict[str, Change]:
        """Edits of these weights as edits of the file's tensors."""
        found: dict[str, Change] = {}
        for key, edit in edits.items():
            piece = self.pieces[key]
            if piece.rows:
                rows = self.checkpoint[piece.name].shape[0]
                edit = _among(edit, piece.rows[0], rows)
            found[piece.name] = _both(found[piece.name], edit) if piece.name in found else edit
        return found

    def with_copies(self, edits: Mapping[str, Change]) -> dict[str, Change]:
        """Edits of the file's tensors, and the same edits of their copies."""
        again = {self.copies[name]: edit for name, edit in edits.items() if name in self.copies}
        return {**edits, **again}


def _among(edit: Change, start: int, rows: int) -> Change:
    """The change of a matrix of which these are some rows, from `start` on; the others stay."""

    def put(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.pad(values, ((start, rows - start - len(values)), (0, 0)))

    if isinstance(edit, LowRank):
        return LowRank(put(edit.up), edit.down, edit.scale)
    return Dense(put(edit.values))


def _both(one: Change, other: Change) -> Change:
    """The sum of changes of different rows of one matrix."""
    if isinstance(one, LowRank) and isinstance(other, LowRank) and one.scale == other.scale:
        if np.array_equal(one.down, other.down):
            return LowRank(one.up + other.up, one.down, one.scale)
        up, down = np.hstack([one.up, other.up]), np.vstack([one.down, other.down])
        return LowRank(up, down, one.scale)
    return Dense((_dense(one) + _dense(other)).astype(np.float32))


def _dense(edit: Change) -> NDArray[np.float64]:
    rows, width = edit.shape
    return edit.stretch(0, rows * width).reshape(rows, width)
