"""Adds a delta to its base, or takes it out again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckptedit.deltas.application import Application, plan
from ckptedit.deltas.change import digest, patched
from ckptedit.deltas.delta import Delta
from ckptedit.deltas.fit import some
from ckptedit.deltas.lineage import lineage, takes_out
from ckptedit.deltas.memory import opened_edit
from ckptedit.deltas.sides import Changes
from ckptedit.errors import BadCheckpoint
from ckptedit.families.provenance import stamped
from ckptedit.files import (
    Checkpoint,
    Written,
    check_output,
    check_space,
    escape,
    ledger,
    opened,
    write_edited,
)
from ckptedit.files.history import trunk
from ckptedit.files.permission import is_stream


@dataclass(frozen=True)
class Applied:
    """A checkpoint that was written.

    sha256:    of its tensor data
    elsewhere: the base is not the delta's in tensors that the delta does not touch
    unlike:    tensors that are not what the delta was made from after taking it out by the ledger
    """

    path: Path
    sha256: str
    application: Application
    elsewhere: bool
    unlike: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What the user should hear of, one line each."""
        notes = self.application.notes
        if self.elsewhere:
            notes.append(
                f"{self.application.base.label} is not the delta's base in tensors that it leaves "
                "alone, so the result is not the checkpoint that it names"
            )
        if self.unlike:
            count = len(self.application.delta.entries)
            notes.append(
                f"{some(self.unlike, count)} are not to the bit what the delta was made from: by "
                "rounding, unless they were changed since it was applied"
            )
        return notes

    @property
    def verified(self) -> bool:
        """Whether the whole result is, to the bit, the one that the delta names."""
        return self.application.expected is not None and not self.elsewhere

    def as_dict(self) -> dict[str, Any]:
        """The figures under their stable names, for JSON."""
        return {
            **self.application.as_dict(),
            "output": str(self.path),
            "sha256": self.sha256,
            "verified": self.verified,
        }


def apply(
    base: str | Path | Checkpoint,
    delta: str | Path | Checkpoint | Delta | Changes,
    output: str | Path,
    *,
    strength: float = 1.0,
    reverse: bool = False,
    fuzz: bool = False,
    force: bool = False,
    in_place: bool = False,
) -> Applied:
    """Writes base + strength · delta, rounded once to the stored dtypes; the rest is copied.

    base, delta: by name, or open

    delta:    a file by `write_delta`; or, with fuzz, another tool's whose keys fit the base;
              or changes in memory, by the name of the base's tensor
    strength: any finite number; 0 gives the base
    reverse:  subtracts: base is the edited checkpoint, and the one before it comes out
    fuzz:     accepts a base with other values in the same tensors
    Raises DoesNotFit if the delta was made from something else, BadCheckpoint if it is damaged,
    Overflow if a result does not fit its dtype, and what `write` raises.
    """
    with opened(base) as before, opened_edit(delta, before) as changes:
        check_target(output, before, changes, force=force, in_place=in_place)
        planned = plan(before, changes, strength=strength, reverse=reverse, fuzz=fuzz)
        return carry_out(planned, output, force=force, in_place=in_place)


def check_target(
    output: str | Path,
    base: Checkpoint,
    delta: Checkpoint | Delta,
    *,
    force: bool,
    in_place: bool,
) -> None:
    """Raises OutputExists or WriteFailed. in_place allows the base as the output, not the delta."""
    check_output(output, delta.sources if isinstance(delta, Delta) else [delta], force=True)
    check_output(output, [base], force=force, in_place=in_place)


def carry_out(
    planned: Application, output: str | Path, *, force: bool = False, in_place: bool = False
) -> Applied:
    """Writes what was planned. Raises what `apply` raises.

    The ledger names the parent by its digest, which takes as long as writing. A delta that fits
    names its base itself; and if the result's digest is then the one that it names, too, the base
    was that base. Else the file is written again, with the digest that was meant.
    """
    base, expected = planned.base, planned.expected
    check_space(output, base.sizes)
    unlike: dict[str, None] = {}
    edits = {name: _edit(planned, name, unlike) for name in planned.delta.entries}

    def write_child_of(parent: str, over: bool) -> Written:
        lines = lineage(trunk(base.ledger), planned, parent)
        told = [*base.ledger, *planned.delta.ledger]
        metadata = stamped(ledger.replaced(base.metadata, lines, told), base)
        return write_edited(
            output, base, edits, metadata=metadata, force=force or over, in_place=in_place
        )

    if planned.factor == 0:
        written = write_edited(output, base, {}, force=force, in_place=in_place)
        return Applied(written.path, written.sha256, planned, False)

    guess = expected and not is_stream(Path(output))
    written = write_child_of(planned.parent if guess else base.data_sha256(), False)
    elsewhere = expected is not None and written.sha256 != expected
    if guess and elsewhere:
        written = write_child_of(base.data_sha256(), True)
    return Applied(written.path, written.sha256, planned, elsewhere, tuple(unlike))


def _edit(planned: Application, name: str, unlike: dict[str, None]) -> Callable[[], Any]:
    """A function that computes one tensor of the output, and holds it against its digest.

    unlike: gets the name if the ledger alone says that it fits, and its base does not come out
    """
    by_ledger = takes_out(planned.strength, planned.standing.strength)
    base, entry, info = planned.base, planned.delta.entries[name], planned.base[name]

    def compute() -> Any:
        result = patched(base.raw(name), info, planned.delta.change(name), planned.factor)
        expected = entry.result if planned.whole else None
        if planned.whole and planned.reverse:
            expected = None if planned.off_in(name)[0] else entry.base
        if expected and digest(result) != expected:
            raise BadCheckpoint(
                f"{planned.delta.label} is damaged: tensor {escape(name)} comes out with another "
                "digest than it names"
            )
        if by_ledger and name in planned.fit.told and digest(result) != entry.base:
            unlike[name] = None
        return result.reshape(info.shape) if info.dtype == "U8" else result

    return compute
