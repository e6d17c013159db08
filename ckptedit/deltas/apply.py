"""Adds a delta to its base, or takes it out again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ckptedit.deltas.change import digest, patched
from ckptedit.deltas.delta import Delta, is_delta, open_delta
from ckptedit.deltas.entry import total
from ckptedit.deltas.fit import Fit, fit, how_far, require_fit, some
from ckptedit.deltas.foreign import open_foreign
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.files import (
    Checkpoint,
    Written,
    check_output,
    escape,
    ledger,
    opened,
    require_weights,
    write_edited,
)
from ckptedit.files.history import Line, trunk
from ckptedit.files.history import digest as digest_of
from ckptedit.files.permission import is_stream


@dataclass(frozen=True)
class Application:
    """What applying a delta would do, checked.

    reverse: whether base is the edited checkpoint, and the delta is taken out of it
    """

    base: Checkpoint
    delta: Delta
    strength: float
    reverse: bool
    fit: Fit

    @property
    def factor(self) -> float:
        """What the changes are multiplied by."""
        return -self.strength if self.reverse else self.strength

    @property
    def forms(self) -> dict[str, int]:
        """How many tensors change, by the form of their change."""
        return dict(sorted(Counter(entry.form for entry in self.delta.entries.values()).items()))

    @property
    def whole(self) -> bool:
        """Whether the delta says what comes out: it fits, and is applied or taken out in full."""
        return self.fit.exact and self.strength == 1

    @property
    def parent(self) -> str:
        """sha256 of the tensor data that the delta is meant for, in this direction."""
        if self.reverse:
            digest = None if self.fit.edited else self.delta.result_sha256
        else:
            digest = self.delta.base_sha256
        return digest or self.base.data_sha256()

    @property
    def expected(self) -> str | None:
        """sha256 of the tensor data that must come out; None if the delta does not name it."""
        if not self.whole or (self.reverse and self.off != (0, 0.0)):
            return None
        return self.delta.base_sha256 if self.reverse else self.delta.result_sha256

    @property
    def off(self) -> tuple[int, float] | None:
        """Entries that come out other than they were on the other side, and the worst of them.

        None if there is no telling.
        """
        if not self.whole:
            return None
        return total([self.off_in(name) for name in self.delta.entries])

    def off_in(self, name: str) -> tuple[int, float]:
        """As `off`, of one tensor; only if it fits and the strength is 1."""
        entry = self.delta.entries[name]
        if not self.reverse:
            return entry.off
        return entry.undone if name in self.fit.edited else entry.back

    @property
    def notes(self) -> list[str]:
        """What the user should hear of, one line each."""
        count, notes = len(self.delta.entries), []
        if self.fit.differing:
            notes.append(f"{some(self.fit.differing, count)} are not what the delta was made from")
        if self.fit.unknown:
            notes.append(f"{self.delta.label} is another tool's: nothing tells whether it fits")
        if self.off and self.off[0]:
            other = "base" if self.reverse else "edited checkpoint"
            notes.append(f"not the {other} to the bit: {how_far(*self.off)}")
        return notes

    def as_dict(self) -> dict[str, Any]:
        """The figures under their stable names, for JSON; what is known before it is written."""
        off = self.off
        return {
            "output": None,
            "sha256": None,
            "strength": self.strength,
            "reverse": self.reverse,
            "tensors": self.forms,
            "fits": self.fit.exact,
            "differing": [*self.fit.differing, *self.fit.unknown],
            "verified": None,
            "exact": None if off is None else off[0] == 0,
            "off": None if off is None else {"values": off[0], "worst": off[1]},
        }


@dataclass(frozen=True)
class Applied:
    """A checkpoint that was written.

    sha256:    of its tensor data
    elsewhere: the base is not the delta's in tensors that the delta does not touch
    """

    path: Path
    sha256: str
    application: Application
    elsewhere: bool

    @property
    def notes(self) -> list[str]:
        """What the user should hear of, one line each."""
        if not self.elsewhere:
            return self.application.notes
        return [*self.application.notes,
                f"{self.application.base.label} is not the delta's base in tensors that it leaves "
                "alone, so the result is not the checkpoint that it names"]  # fmt: skip

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


def plan(
    base: Checkpoint,
    delta: Checkpoint,
    *,
    strength: float = 1.0,
    reverse: bool = False,
    fuzz: bool = False,
) -> Application:
    """Opens a delta and holds it against a base. See `apply` for what the options are.

    Raises BadParam, BadCheckpoint, and DoesNotFit.
    """
    if not isfinite(strength):
        raise BadParam(f"strength must be a finite number, got {strength}")
    require_weights(base, delta)
    opened = open_delta(delta) if is_delta(delta) else open_foreign(delta, base)
    found = fit(base, opened, reverse=reverse)
    require_fit(found, base, opened, fuzz=fuzz)
    return Application(base, opened, strength, reverse, found)


def apply(
    base: str | Path | Checkpoint,
    delta: str | Path | Checkpoint,
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

    delta:    a file by `write_delta`; or, with fuzz, a LoRA whose keys fit the base
    strength: any finite number; 0 gives the base
    reverse:  subtracts: base is the edited checkpoint, and the one before it comes out
    fuzz:     accepts a base with other values in the same tensors
    Raises DoesNotFit if the delta was made from something else, BadCheckpoint if it is damaged,
    Overflow if a result does not fit its dtype, and what `write` raises.
    """
    with opened(base) as before, opened(delta) as changes:
        check_target(output, before, changes, force=force, in_place=in_place)
        planned = plan(before, changes, strength=strength, reverse=reverse, fuzz=fuzz)
        return carry_out(planned, output, force=force, in_place=in_place)


def check_target(
    output: str | Path, base: Checkpoint, delta: Checkpoint, *, force: bool, in_place: bool
) -> None:
    """Raises OutputExists or WriteFailed. in_place allows the base as the output, not the delta."""
    check_output(output, [delta], force=True)
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
    edits = {name: _edit(planned, name) for name in planned.delta.entries}

    def write_child_of(parent: str, over: bool) -> Written:
        lines = lineage(trunk(base.ledger), planned, parent)
        told = [*base.ledger, *planned.delta.ledger]
        metadata = ledger.replaced(base.metadata, lines, told)
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
    return Applied(written.path, written.sha256, planned, elsewhere)


def _edit(planned: Application, name: str) -> Callable[[], Any]:
    """A function that computes one tensor of the output, and holds it against its digest."""
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
        return result.reshape(info.shape) if info.dtype == "U8" else result

    return compute


def lineage(known: Sequence[Line], planned: Application, parent: str) -> list[Line]:
    """The trunk of the output's ledger.

    The delta's own entries are added, with one of the `apply`. Taking the delta out takes these
    away again; if something was done after them, an entry that says so follows.
    """
    delta = planned.delta
    mine, own = delta.checkpoint.data_sha256(), trunk(delta.ledger)
    options = {"strength": planned.factor, "fuzz": not planned.fit.exact}
    if planned.factor > 0:
        return [*known, *own, ledger.entry("apply", options, parent, delta_sha256=mine)]
    left = [line for line in known if line not in own and line.get("delta_sha256") != mine]
    if left == known[: len(left)] and len(left) < len(known) and planned.factor == -1:
        return left
    kept = left if planned.factor == -1 else known
    gone = [digest_of(line) for line in own]
    line = ledger.entry("apply", options, parent, delta_sha256=mine, taken_out=gone)
    return [*kept, line]
