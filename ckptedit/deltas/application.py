"""What applying a delta to a checkpoint would do, checked before anything is written."""

from collections import Counter
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ckptedit.deltas.delta import Delta, is_delta, open_delta
from ckptedit.deltas.entry import total
from ckptedit.deltas.fit import Fit, averaged, fit, how_far, require_fit, some
from ckptedit.deltas.foreign import open_foreign, require_whole
from ckptedit.deltas.lineage import NOT_IN, Standing, standing_of
from ckptedit.errors import BadParam, DoesNotFit
from ckptedit.files import Checkpoint, escape, require_weights


@dataclass(frozen=True)
class Application:
    """What applying a delta would do, checked.

    reverse:  whether base is the edited checkpoint, and the delta is taken out of it
    standing: how the delta is in the base now, as its ledger says
    """

    base: Checkpoint
    delta: Delta
    strength: float
    reverse: bool
    fit: Fit
    standing: Standing = NOT_IN

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
        named = all(entry.result for entry in self.delta.entries.values())
        return self.fit.exact and not self.fit.told and named and self.strength == 1

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
        if not self.whole or (self.reverse and self.off != (0, 0.0)) or self.delta.respelled:
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
        count = len(self.delta.entries)
        notes = averaged(self.base, self.delta.entries)
        if self.delta.respelled:
            notes.append(
                f"{self.base.label} spells its tensors otherwise than {self.delta.label}: those "
                "that change are checked one by one, the rest cannot be"
            )
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


def plan(
    base: Checkpoint,
    delta: Checkpoint | Delta,
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
    require_weights(base)
    require_whole(base)
    opened = open_for(base, delta)
    standing = standing_of(base.ledger, opened)
    if reverse and (name := opened.one_way):
        raise DoesNotFit(
            f"{opened.label} cannot be taken out: its change of {escape(name)} depends on the "
            "weight that it was applied to; `ckptedit import` makes a delta of it that can be"
        )
    found = fit(base, opened, strength=strength, reverse=reverse, standing=standing)
    require_fit(found, base, opened, fuzz=fuzz, standing=standing)
    return Application(base, opened, strength, reverse, found, standing)


def open_for(base: Checkpoint, delta: Checkpoint | Delta) -> Delta:
    """A delta, or a LoRA of another tool, under the names of a base."""
    if isinstance(delta, Delta):
        return delta.spelled_like(base)
    if is_delta(delta):
        return open_delta(delta).spelled_like(base)
    return open_foreign(delta, base)
