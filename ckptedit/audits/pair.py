"""The two checkpoints of an audit. Needs no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ckptedit.drift.run import both_opened, under_one_naming
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint


@contextmanager
def original_and_edited(
    original: str | Path | Checkpoint | None, checkpoint: str | Path | Checkpoint
) -> Iterator[tuple[Checkpoint, Checkpoint]]:
    """Yields both under one naming, and closes those that were given as paths.

    checkpoint: a delta is what the original is with it
    Raises BadParam if there is no original.
    """
    if original is None:
        raise BadParam(
            "an audit compares with the weights before the edit: name the checkpoint that this "
            "one was made of, --original PATH"
        )
    with both_opened(original, checkpoint) as sides:
        before, after, _ = under_one_naming(*sides)
        yield before, after
