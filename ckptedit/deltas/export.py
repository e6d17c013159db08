"""A delta as a plain LoRA, or as a LyCORIS file of full differences, for other tools."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import LowRank
from ckptedit.deltas.delta import Delta, open_delta
from ckptedit.deltas.entry import Entry, lora_tensors
from ckptedit.deltas.foreign import EXPORT
from ckptedit.deltas.keys import BIAS, loads_in_uis
from ckptedit.deltas.labels import data_sha256, hashes, labels
from ckptedit.deltas.lowrank import factorize, leading, truncate
from ckptedit.deltas.peft import KEYS, Place, peft_tensors, places
from ckptedit.errors import BadParam, Incompatible
from ckptedit.files import Checkpoint, Spec, check_output, escape, ledger, opened, write
from ckptedit.progress import Track, silent

MODULES = {"lora": "networks.lora", "lycoris": "lycoris.kohya"}  # what loads each format
LOADERS = {"kohya": "A1111 and ComfyUI", "peft": "diffusers"}
VISIBLE = 1e-4  # relative error; less is below the rounding of a half-precision model
NEGLIGIBLE = 1e-6  # relative error of the factors of a dense change, where no rank is given

Stored = tuple[Spec, NDArray[Any]]  # a tensor of the file


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    sha256:   of its tensor data
    tensors:  how many changes are in it
    rank:     the highest of its modules; 0 if all are dense
    error:    what was lost to the rank, relative to the whole change (Frobenius)
    left_out: changes that those who read such files would not load
    """

    path: Path
    sha256: str
    tensors: int
    rank: int
    error: float
    left_out: tuple[str, ...]
    format: str

    @property
    def notes(self) -> list[str]:
        """What was lost, if it can be seen: one line each."""
        found = []
        if self.error > VISIBLE:
            found.append(f"rank {self.rank} loses {self.error:.2%} of the change")
        if self.left_out:
            found.append(f"left out what other tools would not load: {some(self.left_out)}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """The figures under their stable names, for JSON."""
        return {
            "output": str(self.path),
            "sha256": self.sha256,
            "format": self.format,
            "tensors": self.tensors,
            "rank": self.rank,
            "error": {"relative": self.error},
            "left_out": list(self.left_out),
        }


def export(
    delta: str | Path | Checkpoint | Delta,
    output: str | Path,
    *,
    format: str = "lora",
    rank: int | None = None,
    keys: str = "kohya",
    force: bool = False,
    track: Track = silent,
) -> Exported:
    """Writes a delta under the keys that other tools load, without anything else.

    delta:  a delta file by name, or open
    format: "lora": factors throughout; "lycoris": differences throughout, nothing lost
    rank:   of a lora: 1 or more; None keeps each change's own, which a dense change may not have
    keys:   of a lora: "kohya", which A1111 and ComfyUI load, and diffusers does; "peft", which
            diffusers and PEFT write
    Raises BadParam if the rank is none, Incompatible if a change has no low rank or nothing is left
    to write, and what `write` raises.
    """
    check_options(format, rank, keys)
    with ExitStack() as stack:
        if not isinstance(delta, Delta):
            delta = open_delta(stack.enter_context(opened(delta)))
        return _write(delta, output, format, rank, keys, force, track)


def _write(
    delta: Delta,
    output: str | Path,
    format: str,
    rank: int | None,
    keys: str,
    force: bool,
    track: Track,
) -> Exported:
    check_output(output, delta.sources, force=force)
    exporter = _Exporter(delta, rank, places(delta) if keys == "peft" else None)
    kept = {
        name: entry
        for name, entry in delta.entries.items()
        if (loadable(name, entry, format) if keys == "kohya" else exporter.places.get(name))
    }
    if not kept:
        raise Incompatible(
            f"{delta.label}: none of its {len(delta.entries)} changes is of a weight that "
            f"{LOADERS[keys]} load{'s' if keys == 'peft' else ''} from a {format} file"
        )
    make = exporter.low_rank if format == "lora" else exporter.dense
    parts = [part for name in track(list(kept), "converting") for part in make(name)]
    title = "lora" if str(output) == "-" else Path(output).name.removesuffix(".safetensors")
    metadata = {
        "format": "pt",
        **labels(delta.family, title, module=MODULES[format], rank=exporter.rank),
        **hashes(data_sha256(data for _, data in parts)),
        **origin(kept, {name: exporter.stems(name, format) for name in kept}),
        ledger.KEY: ledger.as_text(delta.ledger),
    }
    written = write(
        output,
        [spec for spec, _ in parts],
        (data for _, data in parts),
        metadata,
        force=force,
        inputs=delta.sources,
    )
    left_out = tuple(name for name in delta.entries if name not in kept)
    return Exported(
        written.path, written.sha256, len(kept), exporter.rank, exporter.error, left_out, format
    )


def origin(kept: Mapping[str, Entry], stems: Mapping[str, list[str]]) -> dict[str, str]:
    """Metadata by which `apply` knows what an export fits; see `exported_from`.

    stems: name in the base -> what the keys of its change begin with
    """
    known = {stem: entry.base for name, entry in kept.items() for stem in stems[name] if entry.base}
    return {EXPORT: json.dumps(known, sort_keys=True, separators=(",", ":"))}


def check_options(format: str, rank: int | None, keys: str = "kohya") -> None:
    """Raises BadParam."""
    if keys not in KEYS:
        raise BadParam(f"the keys are {keys!r}; they must be {' or '.join(KEYS)}")
    if keys == "peft" and format != "lora":
        raise BadParam(f"a {format} file has kohya's keys; --keys peft is for --format lora")
    if format not in MODULES:
        raise BadParam(f"the format is {format!r}; it must be {' or '.join(MODULES)}")
    if rank is not None and format != "lora":
        raise BadParam(f"a {format} file has no rank; --rank is for --format lora")
    if rank is not None and rank < 1:
        raise BadParam(f"rank must be 1 or more, got {rank}")


def loadable(name: str, entry: Entry, format: str) -> bool:
    """Whether the user interfaces load the change of a tensor from a file of this format.

    That of a bias goes beside one of its weight, and has a key of another kind where there is none.
    """
    if not loads_in_uis(module(entry)):
        return False
    return format == "lycoris" or (len(entry.shape) > 1 and not name.endswith(BIAS))


class _Exporter:
    def __init__(
        self, delta: Delta, wanted: int | None, peft: Mapping[str, list[Place]] | None
    ) -> None:
        """peft: name in the base -> modules, where the keys are PEFT's"""
        self.delta, self.wanted, self.rank = delta, wanted, 0
        self.peft, self.places = peft is not None, peft or {}
        self._lost = self._all = 0.0  # squares

    @property
    def error(self) -> float:
        return sqrt(self._lost / self._all) if self._all else 0.0

    def stems(self, name: str, format: str) -> list[str]:
        """What the keys of a change begin with."""
        if self.peft:
            return [place.module for place in self.places[name]]
        entry = self.delta.entries[name]
        return [module(entry) if format == "lora" else dense_key(name, entry)]

    def dense(self, name: str) -> Iterator[Stored]:
        entry = self.delta.entries[name]
        key = dense_key(name, entry)
        flat = self.delta.change(name).stretch(0, prod(entry.shape))
        values = flat.astype(np.float32).reshape(entry.shape)
        yield Spec(key, "F32", entry.shape), values

    def low_rank(self, name: str) -> Iterator[Stored]:
        entry = self.delta.entries[name]
        change = self.delta.change(name)
        flat = change.stretch(0, prod(entry.shape)).reshape(entry.shape[0], -1)
        up, down = self._factors(name, change, flat)
        left = flat - up.astype(np.float64) @ down.astype(np.float64)
        self._lost += float(np.square(left).sum())
        self._all += float(np.square(flat).sum())
        self.rank = max(self.rank, up.shape[1])
        factors = LowRank(up, down)
        if self.peft:
            yield from peft_tensors(self.places[name], factors, entry.shape)
        else:
            yield from lora_tensors(module(entry), factors, entry.shape)

    def _factors(self, name: str, change: Any, flat: NDArray[Any]) -> tuple[Any, Any]:
        """up [out, r], down [r, in] float32"""
        if isinstance(change, LowRank) and change.scale == 1:
            return truncate(change.up, change.down, self.wanted or change.up.shape[1])
        if self.wanted:
            return leading(flat, self.wanted)
        factors = factorize(flat, NEGLIGIBLE * float(np.linalg.norm(flat)))
        if factors is None:
            raise Incompatible(
                f"{self.delta.label}: the change of {escape(name)} has no low rank; --rank "
                "approximates it, --format lycoris keeps it whole"
            )
        return factors


def some(names: tuple[str, ...]) -> str:
    """The first few of them, escaped."""
    shown = ", ".join(map(escape, names[:3]))
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def dense_key(name: str, entry: Entry) -> str:
    """What the difference of a tensor is called."""
    return module(entry) + (".diff_b" if name.endswith(BIAS) else ".diff")


def module(entry: Entry) -> str:
    """The module that an entry's key belongs to."""
    return entry.key.removesuffix(".diff").removesuffix(".diff_b")
