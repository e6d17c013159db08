"""What `diff` is asked about the K/V weights of a model: where in the embeddings, and which words.

Its families are known and its files opened before anything is compared. Imports nothing slow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckptedit.drift.along import Along, along
from ckptedit.drift.comparison import Comparison
from ckptedit.errors import BadParam, Incompatible
from ckptedit.families import block_role, detect
from ckptedit.files import Checkpoint
from ckptedit.progress import Track
from ckptedit.subspaces.basis import read_basis

if TYPE_CHECKING:
    from ckptedit.drift.words import MovedWords


class Question:
    """along: the file of a subspace, or None; words: how many to list, or 0; as `diff` has them."""

    def __init__(
        self,
        old: Checkpoint,
        along: Checkpoint | str | Path | None,
        words: int,
        reading: Mapping[str, Any],
    ) -> None:
        """Raises BadParam, BadCheckpoint, and Incompatible for what the old one cannot answer."""
        if words < 0:
            raise BadParam(f"words must be 0 or more, not {words}")
        self.old, self.family = old, detect(old)
        self.basis = None if along is None else read_basis(along, self.family)
        self.words, self.reading = words, reading
        if words and not any(block_role(name).component == "text" for name in old):
            raise Incompatible(
                f"{old.label} holds no text encoder, which reads the words; give the whole "
                "checkpoint, or leave out --words"
            )

    def __call__(
        self, comparison: Comparison, new: Checkpoint, track: Track
    ) -> "tuple[Along | None, MovedWords | None]":
        """The answers; None to what was not asked."""
        inside, moved = None, None
        if self.basis is not None:
            inside = along(comparison, self.old, new, self.family, self.basis, track=track)
        if self.words:
            from ckptedit.drift.words import moved_words

            moved = moved_words(
                comparison, self.old, new, self.family, count=self.words,
                reading=self.reading, track=track,
            )  # fmt: skip
        return inside, moved
