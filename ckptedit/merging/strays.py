"""Tensors that are not in all inputs: never dropped without a word.

in the base only         kept as it is; an edit that lacks it counts as not touching it
in an edit only          an error; or added to the output, or left out, as the user says
added by several edits   must be the same bytes in all of them
"""

from collections.abc import Sequence

from ckptedit.deltas.fit import some
from ckptedit.errors import Incompatible
from ckptedit.files import Checkpoint, Kept, escape
from ckptedit.merging.recipe import Extra
from ckptedit.merging.task_vectors import TaskVectors, same_bytes


def stray_tensors(base: Checkpoint, edits: Sequence[TaskVectors], extra: Extra) -> list[Kept]:
    """The tensors to be added to the output, in the order of the edits.

    Raises Incompatible if there are any and extra is "error", if two edits have different ones of
    one name, or if an edit has no tensor of the base at all.
    """
    found: dict[str, Checkpoint] = {}
    for edit in edits:
        strange = unknown_to(base, edit)
        if len(strange) == len(edit.names()):
            raise Incompatible(f"{edit.label} has no tensor in common with {base.label}")
        if strange and extra == "error":
            raise Incompatible(
                f"{edit.label} has {some(strange, len(edit.names()))}, which {base.label} lacks; "
                "--extra keep adds them to the output, --extra drop leaves them out"
            )
        for name in strange if extra == "keep" else []:
            source = next((s for s in edit.sources if name in s), None)
            if source is None:
                raise Incompatible(f"{edit.label} changes {escape(name)}, which the base lacks: "
                                   "a delta cannot be kept")  # fmt: skip
            if name in found and not same_bytes(found[name], source, name):
                raise Incompatible(f"edits add different tensors {escape(name)}, which the base "
                                   "lacks; there is nothing to merge them on")  # fmt: skip
            found.setdefault(name, source)
    return [Kept(source, name) for name, source in found.items()]


def notes_on(base: Checkpoint, edits: Sequence[TaskVectors], extra: Extra) -> list[str]:
    """What was missing or left over, one line for each edit concerned."""
    notes = []
    for edit in edits:
        notes.extend(edit.notes(base))
        if strange := unknown_to(base, edit):
            fate = "added to the output" if extra == "keep" else "left out"
            notes.append(
                f"{edit.label} has {some(strange, len(edit.names()))}, which the base lacks: {fate}"
            )
    return notes


def unknown_to(base: Checkpoint, edit: TaskVectors) -> list[str]:
    return [name for name in edit.names() if name not in base]
