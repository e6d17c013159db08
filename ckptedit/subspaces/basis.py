"""The file of a subspace: what `project` writes, and `erase` and `diff` read. Needs no torch.

A tensor "basis" [r, d] with orthonormal rows, and in the metadata what it is of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import BadCheckpoint, Incompatible
from ckptedit.families import Family
from ckptedit.files import Checkpoint, escape
from ckptedit.files.bounded import parse_json
from ckptedit.files.dtypes import FLOATS

FACTS, TENSOR = "ckptedit.subspace", "basis"
Part: TypeAlias = str | Path | Checkpoint  # a concept's name, or the file of a subspace

ORTHONORMAL = 1e-4  # what the entries of B Bᵀ may be off


@dataclass(frozen=True, eq=False)
class Basis:
    """A subspace of text embeddings.

    rows:     [r, d] float32, orthonormal
    concepts: whose it is, as far as the file says
    sha256:   of the file's tensor data
    """

    rows: NDArray[np.float32]
    concepts: tuple[str, ...]
    label: str
    sha256: str

    @property
    def facts(self) -> dict[str, Any]:
        """What a ledger says of it."""
        return {"concepts": list(self.concepts), "rank": len(self.rows), "sha256": self.sha256}


def is_file(word: str) -> bool:
    """Whether a word names the file of a subspace, and not a concept.

    It ends in .safetensors, or begins as a path does ("./vg", "/tmp/vg"), or is "-", stdin.
    """
    return word == "-" or word.endswith(".safetensors") or word.startswith(("./", "../", "/"))


def parts(given: Part | Sequence[Part]) -> list[str | Checkpoint]:
    """What is given for one subspace or several: names as they are, files opened."""
    several = [given] if isinstance(given, str | Path | Checkpoint) else given
    return [_opened(part) for part in several]


def _opened(part: Part) -> str | Checkpoint:
    if isinstance(part, Path) or (isinstance(part, str) and is_file(part)):
        return Checkpoint(part)
    return part


def label_of(part: str | Checkpoint) -> str:
    """What it is called in a report: the name, or the file."""
    return part if isinstance(part, str) else part.label


def require_basis(checkpoint: Checkpoint, family: Family) -> None:
    """Looks at the header of a basis: is it one, and of the embeddings that a family reads?

    Raises BadCheckpoint, and Incompatible for a basis of another family or width.
    """
    shape = checkpoint[TENSOR].shape if TENSOR in checkpoint else ()
    if len(shape) != 2 or 0 in shape or checkpoint[TENSOR].dtype not in FLOATS:
        raise BadCheckpoint(f"{checkpoint.label} holds no subspace, no tensor 'basis' [r, d]")
    said = facts(checkpoint).get("family", family.name)
    if shape[1] != family.text_width or said != family.name:
        raise Incompatible(
            f"{checkpoint.label} is a basis of width {shape[1]} of {escape(said)}; {family.name} "
            f"reads embeddings of width {family.text_width}: make one with `ckptedit project`"
        )


def read_basis(checkpoint: Checkpoint | str | Path, family: Family) -> Basis:
    """Reads a basis for the K/V weights of a family. Raises what `require_basis` raises."""
    file = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    require_basis(file, family)
    rows = file.values(TENSOR).astype(np.float32)
    with np.errstate(all="ignore"):  # NaN and Inf are not orthonormal either
        apart = np.abs(rows @ rows.T - np.eye(len(rows))).max()
    if not apart <= ORTHONORMAL:
        raise BadCheckpoint(f"{file.label}: the rows of 'basis' are not orthonormal")
    return Basis(rows, concepts_of(file), file.label, file.data_sha256())


def concepts_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The concepts that the file of a subspace says it is of."""
    said = facts(checkpoint).get("concepts", ())
    return tuple(name for name in said if isinstance(name, str)) if isinstance(said, list) else ()


def facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the metadata says of a subspace; nothing where another tool wrote the file."""
    text = checkpoint.metadata.get(FACTS, "{}")
    return parse_json(text.encode(errors="surrogatepass"), f"{checkpoint.label}: {FACTS}")
