"""The weights of a checkpoint that an edit may change, and their averaged copies."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from torch import Tensor

from ckptedit.errors import BadCheckpoint
from ckptedit.families import Family, average_name, kv_weights
from ckptedit.families.spelling import stored_name
from ckptedit.files import Checkpoint, escape
from ckptedit.text.encoder import FIRST_OUTPUT

TEXT = f"text_encoder.{FIRST_OUTPUT}.weight"
T = TypeVar("T")


class KVWeights(Mapping[str, Tensor]):
    """name -> W [out, d] float32 on the CPU, read when asked for, in file order.

    roles:  "k", "v", "kv", or "te": the output of the text encoder's first self-attention
    copies: name -> the name of its averaged copy, where training left one in the file. Some loaders
    prefer it, and it knows the concept as well.
    """

    def __init__(self, checkpoint: Checkpoint, family: Family, roles: str = "kv") -> None:
        self.checkpoint = checkpoint
        if roles == "te":
            self.names = [stored_name(checkpoint, family, TEXT)]
        else:
            found = kv_weights(checkpoint, family)
            self.names = [weight.name for weight in found if weight.role in roles]
        averaged = {name: average_name(name) for name in self.names}
        self.copies = {name: copy for name, copy in averaged.items() if copy in checkpoint}
        for name, copy in self.copies.items():
            if checkpoint[copy].shape != checkpoint[name].shape:
                raise BadCheckpoint(
                    f"{checkpoint.label}: {escape(copy)} is no copy of {escape(name)}: "
                    f"{list(checkpoint[copy].shape)} and {list(checkpoint[name].shape)}"
                )

    def __getitem__(self, name: str) -> Tensor:
        return self.checkpoint.tensor(name).float()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def with_copies(self, edits: Mapping[str, T]) -> dict[str, T]:
        """Edits of the weights, and the same edits of their copies."""
        again = {self.copies[name]: edit for name, edit in edits.items() if name in self.copies}
        return {**edits, **again}
