"""A delta file: named changes of a base checkpoint, in a form that image tools load as well.

For each tensor, under the key of its module (`keys.py`):
  lora  `.lora_up.weight` [out, r], `.lora_down.weight` [r, in], `.alpha`: the change is up @ down
  diff  `.diff` (of a bias `.diff_b`): the change itself, float32
  set   `.set_weight`: the stored values after the edit, beside `.ckptedit_old`: those before
and in the metadata what they belong to: see `Entry` and docs/delta.md. A tensor `gram` [d, d], if
there is one, is E Eᵀ of the embeddings that a K/V edit was made for.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import Change, Dense, LowRank, Replacement
from ckptedit.deltas.entry import SUFFIXES, Entry, check_parts, parse_entry
from ckptedit.deltas.labels import MODEL_HASH
from ckptedit.deltas.parts import holds_factors
from ckptedit.errors import BadCheckpoint
from ckptedit.families.spelling import counterparts, same_shape
from ckptedit.files import Checkpoint, escape, opened, require_weights
from ckptedit.files.bounded import parse_json

FORMAT, VERSION = "ckptedit.format", "delta/1"
BASE, RESULT, TENSORS = "ckptedit.base", "ckptedit.result", "ckptedit.tensors"
FAMILY, EXACT = "ckptedit.family", "ckptedit.exact"
GRAM = "gram"


class Delta:
    """An open delta file. Changes are read when asked for."""

    def __init__(
        self, checkpoint: Checkpoint, entries: Mapping[str, Entry], *, respelled: bool = False
    ) -> None:
        """entries: by the name of the base's tensor; respelled: in another spelling than it was"""
        self.checkpoint, self.label = checkpoint, checkpoint.label
        self.sources = [checkpoint]
        self.entries, self.respelled = dict(entries), respelled
        self.metadata = checkpoint.metadata
        self.base_sha256 = self._digest(BASE)
        self.result_sha256 = self._digest(RESULT)
        self.family = self.metadata.get(FAMILY)

    def _digest(self, key: str) -> str | None:
        found = _object(self.metadata.get(key, "{}"), f"{self.label}: {key}").get("sha256")
        return found if isinstance(found, str) else None

    @property
    def one_way(self) -> str | None:
        """A tensor whose change depends on the weight that it is applied to, if there is one."""
        return None

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """What was done between base and result, oldest first."""
        return self.checkpoint.ledger

    def data_sha256(self) -> str:
        """sha256 of its own tensor data."""
        return self.checkpoint.data_sha256()

    def spelled_like(self, base: Checkpoint) -> "Delta":
        """The same delta under the names of a base: made from a single file, for a folder of the
        same model, or the other way round; itself if it has them."""
        moved = {source.name: name for name, source in counterparts(self.entries, base).items()
                 if source.part is None}  # fmt: skip
        if not moved:
            return self
        entries = {}
        for name, entry in self.entries.items():
            new = moved.get(name, name)
            shape = base[new].shape if new in moved.values() else entry.shape
            same = same_shape(shape, entry.shape)
            entries[new] = replace(entry, shape=shape) if same else entry
        return Delta(self.checkpoint, entries, respelled=True)

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
            scale = float(self._values(entry.key + ".alpha").reshape(())) / len(down)
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
    """A delta from an open file. Raises BadCheckpoint if it is none, damaged, or inconsistent."""
    require_weights(checkpoint)
    version = checkpoint.metadata.get(FORMAT)
    if version is None:
        made = "`ckptedit diff BASE EDITED -o` writes one"
        if holds_factors(checkpoint):
            made = "`ckptedit import FILE BASE` makes one of another tool's edit"
        raise BadCheckpoint(f"{checkpoint.label} is no delta: {made}")
    if version != VERSION:
        raise BadCheckpoint(f"{checkpoint.label}: its format is {escape(version)}, not {VERSION}")
    where = f"{checkpoint.label}: {TENSORS}"
    said = _object(checkpoint.metadata.get(TENSORS, ""), where)
    entries = {
        name: parse_entry(fields, f"{where}, {escape(name)}") for name, fields in said.items()
    }
    for name, entry in entries.items():
        check_parts(checkpoint, name, entry)
    said_hash = checkpoint.metadata.get(MODEL_HASH, checkpoint.data_sha256())
    if said_hash != checkpoint.data_sha256():
        raise BadCheckpoint(f"{checkpoint.label} is damaged: its data has not its {MODEL_HASH}")
    return Delta(checkpoint, entries)


def read_delta(delta: str | Path | Checkpoint) -> dict[str, NDArray[np.float32]]:
    """Reads a delta file whole: name in the base -> edited less base, [*shape] float32.

    Raises BadCheckpoint, and BadParam if a tensor is not of floats.
    """
    with opened(delta) as checkpoint:
        read = open_delta(checkpoint)
        found = {}
        for name, entry in read.entries.items():
            flat = read.change(name).stretch(0, int(np.prod(entry.shape)))
            found[name] = flat.astype(np.float32).reshape(entry.shape)
        return found


def _object(text: str, where: str) -> dict[str, Any]:
    return parse_json(text.encode(errors="surrogatepass"), where)
