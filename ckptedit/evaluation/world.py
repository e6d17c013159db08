"""Whose pictures a checkpoint draws, and so who can judge them. Needs no torch."""

from ckptedit.errors import BadParam
from ckptedit.families import FAMILIES
from ckptedit.families.runnable import require_runnable
from ckptedit.files import Checkpoint


def world_of(checkpoint: Checkpoint) -> str:
    """The world of a checkpoint's pictures, by its header; BadParam if no judge knows it."""
    family = require_runnable(checkpoint)
    if family.world is None:
        known = ", ".join(name for name, each in FAMILIES.items() if each.world)
        raise BadParam(
            f"{checkpoint.label}: no judge ships for {family.name}; there is one for {known}. Its "
            f"pictures take one that knows them (CLIP, or a classifier), and no option of this "
            f"version names it: look at `sample --against`, or at `diff --words`"
        )
    return family.world
