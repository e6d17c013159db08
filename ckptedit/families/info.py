"""What a checkpoint is: its family, layout, tensors, history and health."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ckptedit.errors import BadCheckpoint
from ckptedit.families.detect import detect
from ckptedit.files import Checkpoint, TensorInfo, quantised
from ckptedit.files.health import Health, examine
from ckptedit.progress import Track, silent


@dataclass(frozen=True, slots=True)
class Tally:
    """Tensors that belong together, by the beginning of their names or by their dtype."""

    name: str
    tensors: int
    parameters: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Info:
    path: str
    family: str  # "unknown" if it is none of ours
    reason: str | None  # why it is unknown
    layout: str
    files: int
    tensors: tuple[TensorInfo, ...]
    parts: tuple[Tally, ...]  # by the beginning of their names, greatest first
    dtypes: tuple[Tally, ...]  # by dtype, greatest first
    metadata: dict[str, str]
    ledger: tuple[dict[str, Any], ...]
    quantised: str | None  # what says that its numbers are codes, not weights
    health: Health | None  # None if values were not read
    notes: tuple[str, ...] = ()  # what is odd about its files, one line each
    unread: tuple[str, ...] = ()  # components that cannot be read, by name

    @property
    def total(self) -> Tally:
        return _sum("total", self.tensors)

    @property
    def healthy(self) -> bool | None:
        return None if self.health is None else not self.health.unhealthy

    def as_dict(self, every_tensor: bool = False) -> dict[str, Any]:
        """The figures under their stable names, for JSON. every_tensor: list each one."""
        total, health = self.total, self.health
        report: dict[str, Any] = {
            "path": self.path,
            "family": self.family,
            "layout": self.layout,
            "files": self.files,
            "tensors": total.tensors,
            "parameters": total.parameters,
            "bytes": total.bytes,
            "dtypes": [asdict(part) for part in self.dtypes],
            "parts": [asdict(part) for part in self.parts],
            "metadata": self.metadata,
            "ledger": list(self.ledger),
            "sha256": health and health.sha256,
            "file_sha256": health and health.file_sha256,
            "quantised": self.quantised,
            "healthy": self.healthy,
            "notes": list(self.notes),
            "unread": list(self.unread),
            "unhealthy": [asdict(tensor) for tensor in health.unhealthy] if health else [],
        }
        if every_tensor:
            report["tensor_list"] = [
                {"name": t.name, "dtype": t.dtype, "shape": list(t.shape), "bytes": t.nbytes}
                for t in self.tensors
            ]
        return report


def info(
    checkpoint: Checkpoint | str | Path, *, quick: bool = False, track: Track = silent
) -> Info:
    """Describes a checkpoint of any family. Raises BadCheckpoint if it is not one.

    checkpoint: an opened one, or its path
    quick:      read headers only, so that digests and health are missing
    """
    if not isinstance(checkpoint, Checkpoint):
        with Checkpoint(checkpoint, partly=True) as found:
            return info(found, quick=quick, track=track)
    family, reason = _family(checkpoint)
    tensors = tuple(checkpoint.items())
    infos = tuple(tensor for _, tensor in tensors)
    return Info(
        path=str(checkpoint.path),
        family=family,
        reason=reason,
        layout=checkpoint.layout.kind,
        files=len(checkpoint.sources),
        tensors=infos,
        parts=_grouped((_beginning(tensor.name), tensor) for tensor in infos),
        dtypes=_grouped((tensor.dtype, tensor) for tensor in infos),
        metadata=checkpoint.metadata,
        ledger=tuple(checkpoint.ledger),
        quantised=quantised(checkpoint),
        health=None if quick else examine(checkpoint, track),
        notes=tuple(checkpoint.notes),
        unread=tuple(checkpoint.layout.unread),
    )


def _family(checkpoint: Checkpoint) -> tuple[str, str | None]:
    try:
        return detect(checkpoint).name, None
    except BadCheckpoint as error:
        return "unknown", str(error).removeprefix(checkpoint.label).strip()


def _beginning(name: str) -> str:
    """What the names of one component have in common: `first_stage_model`, `model.layers`."""
    segments = name.split(".")
    return ".".join(segments[: 2 if segments[0] == "model" and len(segments) > 2 else 1])


def _grouped(pairs: Iterable[tuple[str, TensorInfo]]) -> tuple[Tally, ...]:
    groups: dict[str, list[TensorInfo]] = {}
    for key, tensor in pairs:
        groups.setdefault(key, []).append(tensor)
    parts = [_sum(key, members) for key, members in groups.items()]
    return tuple(sorted(parts, key=lambda part: (-part.bytes, part.name)))


def _sum(name: str, tensors: Iterable[TensorInfo]) -> Tally:
    found = list(tensors)
    parameters, stored = sum(t.numel for t in found), sum(t.nbytes for t in found)
    return Tally(name, len(found), parameters, stored)
