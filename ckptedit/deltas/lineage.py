"""What the ledger says of a delta: how strongly it is in, and what applying it adds."""

from collections.abc import Sequence
from math import isclose
from typing import TYPE_CHECKING, Any, NamedTuple

from ckptedit.deltas.delta import Delta
from ckptedit.files import ledger
from ckptedit.files.history import Line, digest, trunk
from ckptedit.files.touched import patterns

if TYPE_CHECKING:
    from ckptedit.deltas.application import Application


class Standing(NamedTuple):
    """How a delta is in a checkpoint, as the ledger says; 0 and 0 if it was not done last.

    strength: in all; times: how often it was applied, or taken out in part, for that
    """

    strength: float = 0.0
    times: int = 0

    @property
    def once(self) -> bool:
        """Whether it was applied in full, at once: its digests then tell what comes out."""
        return self == (1, 1)


NOT_IN = Standing()


def standing_of(lines: Sequence[Line], delta: Delta) -> Standing:
    """How a delta is in the checkpoint that has this ledger."""
    mine, own, found = delta.data_sha256(), trunk(delta.ledger), []
    for line in reversed(trunk(lines)):
        if line.get("delta_sha256") == mine:
            found.append(_strength(line))
        elif line not in own:
            break
    return Standing(max(sum(found), 0.0), len(found))


def _strength(line: Line) -> float:
    options: Any = line.get("options")
    found = options.get("strength") if isinstance(options, dict) else None
    return float(found) if isinstance(found, int | float) else 0.0


def takes_out(strength: float, standing: float) -> bool:
    """Whether what is taken out is what is in: all of a delta that its ledger tells of."""
    return strength > 0 and isclose(strength, standing, rel_tol=1e-9)


def lineage(known: Sequence[Line], planned: "Application", parent: str) -> list[Line]:
    """The trunk of the output's ledger. known: that of the base's

    The delta's own entries are added, with one of the `apply`. Taking the delta out takes these
    away again; if something was done after them, an entry that says so follows.
    """
    mine, own = planned.delta.data_sha256(), trunk(planned.delta.ledger)
    options = {"strength": planned.factor, "fuzz": not planned.fit.exact}
    facts = patterns(planned.delta.entries, planned.base) | {"delta_sha256": mine}
    if planned.factor > 0:
        new = [] if planned.standing.strength else own
        return [*known, *new, ledger.entry("apply", options, parent, **facts)]
    standing = planned.standing.strength
    if 0 < -planned.factor < standing and not takes_out(-planned.factor, standing):
        return [*known, ledger.entry("apply", options, parent, **facts)]
    whole = takes_out(-planned.factor, standing or 1.0)
    left = [line for line in known if line not in own and line.get("delta_sha256") != mine]
    if whole and left == known[: len(left)] and len(left) < len(known):
        return left
    gone = [digest(line) for line in own]
    line = ledger.entry("apply", options, parent, taken_out=gone, **facts)
    return [*(left if whole else known), line]
