"""Writes the difference of two checkpoints, or changes computed elsewhere, as a delta file."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit import __version__
from ckptedit.deltas import delta as file
from ckptedit.deltas.choose import Chooser
from ckptedit.deltas.entry import SUFFIXES, Entry, lora_tensors, total
from ckptedit.deltas.labels import data_sha256, hashes, labels
from ckptedit.deltas.sides import Changes, Edited, FromChanges, FromCheckpoint
from ckptedit.errors import BadParam, Incompatible
from ckptedit.families import spelled_like
from ckptedit.files import Checkpoint, Spec, check_output, ledger, opened, require_weights, write
from ckptedit.files.touched import patterns
from ckptedit.progress import Track, silent

TOLERANCE = 1e-3  # of the change between stored checkpoints, beside what rounding them did


@dataclass(frozen=True)
class Made:
    """A delta file that was written.

    sha256: of its tensor data; result_sha256: of the checkpoint that applying it gives
    """

    path: Path
    sha256: str
    result_sha256: str
    entries: dict[str, Entry]

    @property
    def forms(self) -> dict[str, int]:
        """How many tensors are in which form."""
        return dict(sorted(Counter(entry.form for entry in self.entries.values()).items()))

    @property
    def off(self) -> tuple[int, float]:
        """Entries that applying it leaves other than in the edited checkpoint, and the worst."""
        return total([entry.off for entry in self.entries.values()])

    @property
    def back(self) -> tuple[int, float]:
        """Entries that taking it out again leaves other than in the base, and the worst."""
        return total([entry.back for entry in self.entries.values()])

    def as_dict(self) -> dict[str, Any]:
        """The figures under their stable names, for JSON."""
        ways = {"off": self.off, "back": self.back}
        return {
            "output": str(self.path),
            "sha256": self.sha256,
            "result_sha256": self.result_sha256,
            "tensors": self.forms,
            "exact": not self.off[0] and not self.back[0],
            **{way: {"values": count, "worst": worst} for way, (count, worst) in ways.items()},
        }


def write_delta(
    base: str | Path | Checkpoint,
    edited: str | Path | Checkpoint | Changes,
    output: str | Path,
    *,
    exact: bool = False,
    tolerance: float = TOLERANCE,
    keys: Sequence[str] = (),
    ignore: Sequence[str] = (),
    line: Mapping[str, Any] | None = None,
    gram: NDArray[np.float32] | None = None,
    force: bool = False,
    track: Track = silent,
) -> Made:
    """Writes what makes base into edited.

    base:      a checkpoint by name, or an open one
    edited:    another with the same tensors; or changes by the name of the base's tensor, float32
               arrays or factors that were never rounded
    exact:     only forms that restore the edited checkpoint, and the base, to the last bit: factors
               and differences where they do, the stored values themselves elsewhere
    tolerance: relative error (Frobenius) that low-rank factors may have, 0 to 1, beside the noise
               of the stored dtype: what rounding the edited values to it added to their change
    keys:      patterns of the tensors whose change is written; none stands for all
    ignore:    of added, removed, reshaped: what of edited no delta can hold, and is left out
    line:      the ledger's entry of the edit; None takes it from the edited checkpoint's ledger
    gram:      [d, d] E Eᵀ of the embeddings that the edit was made for
    Raises BadParam; Incompatible if tensors differ in name or shape, or none in value;
    BadCheckpoint if a changed one holds NaN or Inf; and what `write` raises.
    """
    check_tolerance(tolerance)
    with ExitStack() as stack:
        before = stack.enter_context(opened(base))
        if isinstance(edited, Mapping) and not isinstance(edited, Checkpoint):
            inputs, side = [before], edited_side(before, edited, keys, ignore)
        else:
            after = spelled_like(stack.enter_context(opened(edited)), before)
            inputs, side = [before, after], edited_side(before, after, keys, ignore)
        return write_side(before, side, inputs, output, exact=exact, tolerance=tolerance,
                          line=line, gram=gram, force=force, track=track)  # fmt: skip


def check_tolerance(tolerance: float) -> None:
    """Raises BadParam."""
    if not 0 <= tolerance < 1:
        raise BadParam(f"tolerance must be from 0 to 1, got {tolerance}")


def write_side(
    base: Checkpoint,
    side: Edited,
    inputs: Sequence[Checkpoint],
    output: str | Path,
    *,
    exact: bool,
    tolerance: float,
    line: Mapping[str, Any] | None,
    gram: NDArray[np.float32] | None = None,
    force: bool,
    track: Track,
) -> Made:
    """As `write_delta`, of an edited side of any kind. inputs: what it must not overwrite"""
    check_output(output, inputs, force=force)
    chooser = Chooser(base, side, exact=exact, tolerance=tolerance)
    digest = choose_all(chooser, track)
    parts = [(spec, part) for name in chooser.entries for spec, part in tensors(chooser, name)]
    if gram is not None:
        energy = np.asarray(gram, np.float32)
        parts.append((Spec(file.GRAM, "F32", energy.shape), lambda: energy))
    metadata = describe(chooser, digest, edit_lines(chooser, line), title(output))
    metadata |= hashes(data_sha256(part() for _, part in parts))
    written = write(
        output,
        [spec for spec, _ in parts],
        (part() for _, part in parts),
        metadata,
        inputs=inputs,
        force=force,
    )
    return Made(written.path, written.sha256, digest, chooser.entries)


def edited_side(
    base: Checkpoint,
    edited: Checkpoint | Changes,
    keys: Sequence[str],
    ignore: Sequence[str],
) -> Edited:
    """The edited side of a delta. Raises what `write_delta` raises about names and shapes."""
    require_weights(base)
    if isinstance(edited, Checkpoint):
        require_weights(edited)
        return FromCheckpoint(base, edited, keys, ignore)
    if keys or ignore:
        raise BadParam("keys and ignore are for an edited checkpoint: changes say what they change")
    return FromChanges(base, edited)


def choose_all(chooser: Chooser, track: Track) -> str:
    """Chooses a form for every tensor that differs; sha256 of what applying them gives."""
    base, digest = chooser.base, hashlib.sha256()
    for name in track(list(base), "taking the difference"):
        if chooser.side.differs(name):
            digest.update(chooser.take(name).data)
        else:
            for piece in base.chunks(name):
                digest.update(piece)
    if not chooser.entries:
        raise Incompatible(f"there is no difference to write: nothing differs from {base.label}")
    return digest.hexdigest()


def title(target: str | Path) -> str:
    """What user interfaces show: the file's name without its ending."""
    return "delta" if str(target) == "-" else Path(target).name.removesuffix(".safetensors")


def tensors(chooser: Chooser, name: str) -> Iterator[tuple[Spec, Any]]:
    """The tensors that describe one change, each with a function that returns its data."""
    entry, info = chooser.entries[name], chooser.base[name]
    keys = [entry.key + suffix for suffix in SUFFIXES[entry.form]]
    if entry.form == "set":
        yield Spec(keys[0], info.dtype, info.shape), lambda: chooser.side.wanted(name)
        yield Spec(keys[1], info.dtype, info.shape), lambda: chooser.base.raw(name)
    elif entry.form == "diff":
        yield Spec(keys[0], "F32", info.shape), lambda: chooser.side.change(name)
    else:
        for spec, data in lora_tensors(entry.key, chooser.factors[name], info.shape):
            yield spec, lambda data=data: data


def describe(
    chooser: Chooser, result: str, lines: Sequence[Mapping[str, Any]], name: str
) -> dict[str, str]:
    """The metadata of a delta file.

    result: sha256 of what applying it gives; lines: what was done; name: what interfaces show
    """
    base, entries = chooser.base, chooser.entries
    family = chooser.naming.family.name if chooser.naming.family else None
    ranks = [factors.up.shape[1] for factors in chooser.factors.values()]
    off, back = (total([getattr(e, way) for e in entries.values()]) for way in ("off", "back"))
    exact = {"exact": not off[0], "reversible": not back[0], "off": off, "back": back}
    return {
        "format": "pt",
        **labels(family, name, module="networks.lora", rank=max(ranks, default=0)),
        "ckptedit.tool": f"ckptedit {__version__}",
        file.FORMAT: file.VERSION,
        **({file.FAMILY: family} if family else {}),
        file.BASE: _json({"sha256": base.data_sha256()}),
        file.RESULT: _json({"sha256": result}),
        file.EXACT: _json(exact),
        file.TENSORS: _json({name: entry.as_dict() for name, entry in entries.items()}),
        ledger.KEY: ledger.as_text(lines, chooser.side.ledger),
    }


def edit_lines(chooser: Chooser, line: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """What was done between base and result: the edited ledger's entries, and the one given."""
    lines = ledger.beyond(chooser.base.ledger, chooser.side.ledger)
    if line or lines:
        return [*lines, *([line] if line else [])]
    options = {"exact": chooser.exact, "tolerance": chooser.tolerance}
    facts = patterns(chooser.entries, chooser.base)
    return [ledger.entry("diff", options, chooser.base.data_sha256(), **facts)]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
