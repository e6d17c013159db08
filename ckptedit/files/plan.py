"""Which files an output consists of: one, shards with their index, or a folder like the input's."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ckptedit.errors import BadCheckpoint, BadParam, Incompatible
from ckptedit.files import card, ledger
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.header import Spec, TensorInfo, pack_header
from ckptedit.files.layout import FOLDER, INDEX_SUFFIX, SUFFIX, find_layout
from ckptedit.files.leftovers import is_shard_of
from ckptedit.files.names import escape
from ckptedit.files.permission import is_stream

Specs: TypeAlias = Sequence[Spec | TensorInfo]

SHARD_SIZE = 5_000_000_000  # bytes, as transformers has it


@dataclass(frozen=True)
class PlannedFile:
    path: Path
    specs: Specs  # in the order of the bytes
    header: bytes

    @property
    def size(self) -> int:
        return len(self.header) + sum(spec.nbytes for spec in self.specs)


@dataclass(frozen=True)
class OutputPlan:
    target: Path  # what to open afterwards: the file, the index, or the folder
    files: tuple[PlannedFile, ...]  # in the order of the tensors
    index: bytes | None = None  # goes to target once all files are complete
    like: Checkpoint | None = None  # the folder whose other files come along
    obsolete: tuple[Path, ...] = ()  # what else is part of what it replaces, and goes with it
    beside: Mapping[str, bytes] = field(default_factory=dict)  # small files of a folder, by name

    @property
    def is_folder(self) -> bool:
        return bool(self.like or self.beside)

    @property
    def paths(self) -> list[Path]:
        """What appears under a name of its own, or is removed."""
        files = () if self.is_folder else (file.path for file in self.files)
        return [self.target, *files, *self.obsolete]


def make_plan(
    target: str | Path,
    specs: Specs,
    metadata: Mapping[str, str],
    base: Checkpoint | None,
    shard_size: int | None = None,
) -> OutputPlan:
    """Decides by target's name and the base's layout; BadParam if they do not go together."""
    path = Path(target)
    if base and base.layout.kind == FOLDER and any(spec.name in base for spec in specs):
        if path.name.endswith((SUFFIX, ".json")) or is_stream(target):
            raise BadParam(
                f"{base.label} is a diffusers folder, so its output is one, too; "
                f"{escape(target)} is no folder's name"
            )
        _no_shards(shard_size, f"{base.label} is a folder, and its output has the same files")
        return plan_folder(path, specs, metadata, base)
    if is_stream(target):
        _no_shards(shard_size, f"{escape(target)} is a stream, and takes one file")
        return OutputPlan(path, (PlannedFile(path, specs, pack_header(specs, metadata)),))
    return plan_files(path, specs, metadata, shard_size)


def _no_shards(shard_size: int | None, reason: str) -> None:
    if shard_size is not None:
        raise BadParam(f"{reason}; leave the shard size out")


def plan_files(
    target: Path, specs: Specs, metadata: Mapping[str, str], shard_size: int | None
) -> OutputPlan:
    """One file; or shards if target is an index, or shard_size bytes do not hold all tensors."""
    named_index = target.name.endswith(INDEX_SUFFIX)
    if shard_size is not None and shard_size <= 0:
        raise BadParam(f"the shard size {shard_size} is not a positive number of bytes")
    shards = _split(specs, shard_size or SHARD_SIZE) if shard_size or named_index else [specs]
    if len(shards) == 1 and not named_index:
        return OutputPlan(target, (PlannedFile(target, specs, pack_header(specs, metadata)),))
    stem = target.name.removesuffix(INDEX_SUFFIX).removesuffix(SUFFIX)
    files = []
    for number, part in enumerate(shards, start=1):
        path = target.with_name(f"{stem}-{number:05}-of-{len(shards):05}{SUFFIX}")
        files.append(PlannedFile(path, part, pack_header(part, metadata)))
    index = target.with_name(stem + INDEX_SUFFIX)
    old = set(_shards_of(index)) | ({target} if target != index and target.is_file() else set())
    gone = old - {file.path for file in files}
    return OutputPlan(index, tuple(files), _index(files), obsolete=tuple(sorted(gone)))


def _shards_of(index: Path) -> Iterator[Path]:
    """The files of the set that is to be replaced: those that its index lists and names."""
    with contextlib.suppress(BadCheckpoint):
        for part in find_layout(index).parts:
            path = Path(part.path)
            if is_shard_of(index.name, path.name):
                yield path


def _split(specs: Specs, limit: int) -> list[Specs]:
    """Runs of tensors of at most limit bytes; a greater tensor has a shard of its own."""
    shards: list[list[Spec | TensorInfo]] = [[]]
    used = 0
    for spec in specs:
        if used and used + spec.nbytes > limit:
            shards.append([])
            used = 0
        shards[-1].append(spec)
        used += spec.nbytes
    return list(shards)


def _index(files: Sequence[PlannedFile]) -> bytes:
    weight_map = {spec.name: file.path.name for file in files for spec in file.specs}
    if len(weight_map) < sum(len(file.specs) for file in files):
        raise Incompatible("two tensors have the same name")
    total = sum(spec.nbytes for file in files for spec in file.specs)
    text = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return (json.dumps(text, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def with_total(index: bytes, total: int) -> bytes:
    """The text of an index with another total_size, all else as it is."""
    text = json.loads(index)
    text["metadata"]["total_size"] = total
    return (json.dumps(text, indent=2, ensure_ascii=False) + "\n").encode()


def plan_folder(
    target: Path, specs: Specs, metadata: Mapping[str, str], like: Checkpoint
) -> OutputPlan:
    """The components of a folder, each tensor in the file in which `like` has it."""
    wanted = {spec.name: spec for spec in specs}
    if list(wanted) != list(like) or len(wanted) != len(specs):
        raise Incompatible(f"the folder {like.label} takes just the tensors that it has, in order")
    changed = {key: text for key, text in metadata.items() if like.metadata.get(key) != text}
    files = []
    for number, (part, source) in enumerate(zip(like.layout.parts, like.sources, strict=True)):
        own = source.header.metadata
        kept = {key: text for key, text in own.items() if key in metadata} | changed
        theirs = [wanted[name] for name, info in like.items() if info.file == number]
        if part.names is not None and any(s.nbytes != like[s.name].nbytes for s in theirs):
            raise Incompatible(f"{source.label} is a shard: its dtypes cannot be changed")
        bare = [Spec(s.name.removeprefix(part.prefix), s.dtype, s.shape) for s in theirs]
        relative = Path(part.path).relative_to(like.path)
        files.append(PlannedFile(target / relative, bare, pack_header(bare, kept)))
    about = {card.NAME: card.card(metadata)} if ledger.KEY in metadata else {}
    return OutputPlan(target, tuple(files), like=like, beside=about)
