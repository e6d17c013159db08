"""The checkpoint before all edits, as the ledger knows it."""

from collections.abc import Sequence

from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint
from ckptedit.files.history import trunk


def original_of(
    checkpoint: Checkpoint, given: Checkpoint | None, needed_by: Sequence[str]
) -> Checkpoint | None:
    """What a checkpoint was made of; the checkpoint itself where nothing was done to it.

    given:     the file that a user names
    needed_by: what in use compares with it; none: then nothing is returned
    Raises BadParam if it is needed and not given, given and not needed, or not the one that the
    ledger begins with.
    """
    lines = trunk(checkpoint.ledger)
    if not needed_by:
        if given is not None:
            raise BadParam(
                "nothing in use compares with the original: leave out --from-original, or take a "
                "closed form, which erases all targets so far anew from there"
            )
        return None
    if given is None:
        if lines:
            raise BadParam(
                f"{' and '.join(needed_by)} needs the weights before all edits: name the "
                f"checkpoint that {checkpoint.label} was made of, --from-original PATH"
            )
        return checkpoint
    first = str(lines[0].get("parent_sha256")) if lines else checkpoint.data_sha256()
    if (found := given.data_sha256()) != first:
        raise BadParam(
            f"{given.label} is not what {checkpoint.label} was made of: the sha256 of its tensors "
            f"is {found[:12]}…, by the ledger it was {first[:12]}…"
        )
    return given
