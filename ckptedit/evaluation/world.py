"""Whose pictures a checkpoint draws, and so which suite is drawn. Needs no torch."""

from ckptedit.errors import BadParam
from ckptedit.evaluation import SUITES
from ckptedit.evaluation.suite import World
from ckptedit.families import FAMILIES
from ckptedit.families.runnable import require_runnable
from ckptedit.files import Checkpoint


def suite_name(checkpoint: Checkpoint, suite: str | None = None) -> str:
    """The suite for a checkpoint, by its header; BadParam if none is named and its family has none.

    Raises UnknownName if no suite has this name.
    """
    family = require_runnable(checkpoint)
    if suite is not None:
        SUITES[suite]
        return suite
    if family.world is None:
        known = ", ".join(name for name, each in FAMILIES.items() if each.world)
        others = ", ".join(name for name in SUITES if name not in _worlds())
        raise BadParam(
            f"{checkpoint.label}: no suite is {family.name}'s own; there is one for {known}. Say "
            f"what it knows, --suite ({others}), and who judges, or look at `sample --against`"
        )
    return family.world


def world_for(checkpoint: Checkpoint, suite: str | None = None) -> World:
    """The suite of this name, or of the checkpoint's family. Errors as of `suite_name`."""
    world: World = SUITES[suite_name(checkpoint, suite)]()
    return world


def world_of_prompts(checkpoint: Checkpoint) -> World:
    """How prompts are drawn: as the family's own suite, if it has one; else in 20 steps."""
    own = require_runnable(checkpoint).world
    like: World | None = None if own is None else SUITES[own]()
    steps, tower = (20, None) if like is None else (like.steps, like.tower)
    return World("prompts", (), (), steps=steps, tower=tower)


def _worlds() -> set[str | None]:
    return {family.world for family in FAMILIES.values()}
