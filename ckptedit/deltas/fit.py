"""Whether a delta belongs to a checkpoint: its tensors are there, and are what it was made from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from ckptedit.deltas.change import digest
from ckptedit.deltas.delta import Delta
from ckptedit.deltas.entry import Entry
from ckptedit.deltas.lineage import NOT_IN, Standing
from ckptedit.errors import DoesNotFit
from ckptedit.families import average_name
from ckptedit.files import Checkpoint, escape

NAMED = 3  # tensors in a message, before "and n more"


@dataclass(frozen=True)
class Fit:
    """Names of the delta's tensors.

    missing: the checkpoint has none of that name; reshaped: it has another shape or dtype
    differing: the values are not those that the delta was made from
    unknown: the delta does not say what it was made from: it is another tool's
    edited: the values are those of the edited checkpoint that it was made from, where applying it
            gives others; in reverse that fits, too
    told: the base's ledger alone says that the delta is in it, at the strength that is taken out
    """

    missing: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the result is known in advance."""
        return not (self.missing or self.reshaped or self.differing or self.unknown)


def fit(
    base: Checkpoint,
    delta: Delta,
    *,
    strength: float = 1.0,
    reverse: bool = False,
    standing: Standing = NOT_IN,
) -> Fit:
    """Compares digests.

    reverse:  base is the edited checkpoint, out of which it is to be taken
    standing: how the delta is in the base, as its ledger says; that counts where no digest can
              tell: for a strength that is not 1 at once, or a delta that is an export
    """
    told = reverse and 0 < strength <= standing.strength * (1 + 1e-9)
    found: dict[str, list[str]] = {kind.name: [] for kind in fields(Fit)}
    for name, entry in delta.entries.items():
        if kind := _misfit(base, name, entry, reverse):
            no_digest = entry.result is None or strength != 1 or not standing.once
            if told and no_digest and kind in ("differing", "unknown"):
                kind = "told"
            found[kind].append(name)
    return Fit(**{kind: tuple(names) for kind, names in found.items()})


def _misfit(base: Checkpoint, name: str, entry: Entry, reverse: bool) -> str | None:
    """The field of Fit that a tensor belongs to."""
    expected = entry.result if reverse else entry.base
    if name not in base:
        return "missing"
    if base[name].shape != entry.shape or (expected and base[name].dtype != entry.dtype):
        return "reshaped"
    if expected is None:
        return "unknown"
    found = digest(base.raw(name))
    if found == expected:
        return None
    return "edited" if reverse and found == entry.edited else "differing"


def averaged(base: Checkpoint, changed: Iterable[str]) -> list[str]:
    """A note, if there is a copy of changed weights that an edit leaves as it was; or none."""
    done = set(changed)
    copies = sorted({average_name(name) for name in done} & base.keys() - done)
    if not copies:
        return []
    return [f"{some(copies, len(base))} are averaged copies of the UNet (EMA), and keep the old "
            "weights: a loader that takes them does not see the edit"]  # fmt: skip


def require_fit(
    found: Fit, base: Checkpoint, delta: Delta, *, fuzz: bool, standing: Standing = NOT_IN
) -> None:
    """Raises DoesNotFit. fuzz: other values are accepted, other tensors never.

    standing: how the delta is in the base, as its ledger says
    """
    count = len(delta.entries)
    start = f"{delta.label} does not fit {base.label}: "
    if found.missing:
        raise DoesNotFit(start + f"the latter lacks {some(found.missing, count)}")
    if found.reshaped:
        raise DoesNotFit(start + f"{some(found.reshaped, count)} have another shape or dtype there")
    if found.differing and not fuzz:
        raise DoesNotFit(
            start
            + f"{some(found.differing, count)} are not what it was made from{_hint(standing)}; "
            "--fuzz uses it anyway"
        )
    if found.unknown and any(entry.base for entry in delta.entries.values()) and not fuzz:
        raise DoesNotFit(
            start
            + "it does not say what comes out"
            + (
                _hint(standing)
                or ", and the ledger of the checkpoint does not say that it is in it"
            )
            + "; --fuzz takes it out anyway"
        )
    if found.unknown and not fuzz:
        raise DoesNotFit(
            start + "it does not say what it was made from, since another tool wrote it; "
            "--fuzz uses it anyway"
        )


def _hint(standing: Standing) -> str:
    if not standing.strength or standing.once:
        return ""
    return (
        ", but its ledger says that it was applied: --reverse --strength "
        f"{standing.strength:g} undoes it"
    )


def how_far(values: int, worst: float) -> str:
    """What is not exact, in words."""
    if not worst:
        return f"{values} values differ from it, in the sign of zero"
    return f"{values} values differ from it, by {worst:.2g} at most"


def some(names: Sequence[str], of: int) -> str:
    """ "2 of its 32 tensors (a, b)"; names escaped, the first few"""
    shown = ", ".join(escape(name) for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} of {of} tensors ({shown}{more})"
