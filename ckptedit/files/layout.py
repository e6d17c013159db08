"""Which files make up a checkpoint: one, the shards that an index lists, or a folder of components.

Shard names and symlinks in a folder are text from strangers. A file counts only if it lies in the
folder that the user named, or in the `blobs` of the Hugging Face cache that the folder belongs to.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ckptedit.errors import BadCheckpoint
from ckptedit.files.header import MAX_HEADER, Header, strict_json
from ckptedit.files.names import escape

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
WEIGHTS = ("diffusion_pytorch_model", "model")  # what diffusers and transformers call their files
SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")  # how the name of one ends
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
FIRST = ("transformer", "unet", "text_encoder", "text_encoder_2", "text_encoder_3", "vae")

SINGLE, SHARDS, FOLDER = "single file", "shards", "diffusers folder"


@dataclass(frozen=True)
class Part:
    """One safetensors file of a checkpoint."""

    path: Path | str
    prefix: str = ""  # of its tensor names in the checkpoint: "unet."
    names: frozenset[str] | None = None  # what the index says is in it

    def check(self, header: Header, label: str) -> None:
        """Raises BadCheckpoint unless the file holds just what the index says."""
        if self.names is None:
            return
        wrong = self.names ^ {tensor.name for tensor in header.tensors}
        if wrong:
            name = min(wrong)
            kind = "lacks" if name in self.names else "has, unknown to the index,"
            raise BadCheckpoint(f"{label}: {kind} the tensor {escape(name)}")


@dataclass(frozen=True)
class Index:
    """The file that lists shards, as it was when it was read."""

    path: Path
    stat: os.stat_result
    total: float | None = None  # bytes of all tensors

    def check(self, found: int) -> None:
        """Raises BadCheckpoint unless the shards hold that many bytes, and are of one generation.

        Whoever replaces shards removes their index first: so as long as it is there, and the same,
        those that were opened since belong to it.
        """
        if self.total is not None and self.total != found:
            raise BadCheckpoint(
                f"{escape(self.path)}: its total_size is {self.total}, "
                f"but the shards hold {found} bytes"
            )
        now = None
        with contextlib.suppress(OSError):
            now = self.path.stat()
        if not now or (now.st_ino, now.st_mtime_ns) != (self.stat.st_ino, self.stat.st_mtime_ns):
            raise BadCheckpoint(f"{escape(self.path)}: replaced while its shards were opened")


@dataclass(frozen=True)
class Layout:
    kind: str  # SINGLE, SHARDS or FOLDER
    parts: tuple[Part, ...]
    folder: Path | None = None  # where the parts are, unless it is a single file
    indexes: Mapping[str, Index] = field(default_factory=dict)  # by the prefix of their parts


def find_layout(path: str | Path) -> Layout:
    """Finds the files of a checkpoint. Raises BadCheckpoint if there are none, or too many."""
    if str(path) == "-":
        return Layout(SINGLE, (Part("-"),))
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path)
        return _index(path) if path.name.endswith(".json") else Layout(SINGLE, (Part(path),))
    except OSError as error:  # a name too long, a folder that may not be read
        raise BadCheckpoint(f"{escape(path)}: {error.strerror}") from error


def _folder(path: Path) -> Layout:
    """A folder of components, or one whose own weights are meant."""
    own = _weights(path)
    if own is not None:
        return find_layout(inside(path, own))
    components = [child.name for child in path.iterdir() if child.is_dir() and _weights(child)]
    if not components:
        raise BadCheckpoint(f"{escape(path)}: no safetensors files in this folder{_hint(path)}")
    components.sort(key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    parts: list[Part] = []
    indexes: dict[str, Index] = {}
    for name in components:
        weights = _weights(path / name)
        assert weights is not None  # those without were left out
        inner = find_layout(inside(path, weights))
        parts += [replace(part, prefix=f"{name}.") for part in inner.parts]
        indexes |= {f"{name}.": index for index in inner.indexes.values()}
    return Layout(FOLDER, tuple(parts), path, indexes)


def _weights(folder: Path) -> Path | None:
    """The one checkpoint in a folder: full precision before a variant such as fp16."""
    for stem in WEIGHTS:
        for name in (f"{stem}{SUFFIX}", f"{stem}{INDEX_SUFFIX}"):
            if (folder / name).is_file():
                return folder / name
    variants = [p for stem in WEIGHTS for p in sorted(folder.glob(f"{stem}.*{SUFFIX}"))]
    variants = [path for path in variants if not SHARD.search(path.name)]  # their index counts
    variants += [p for stem in WEIGHTS for p in sorted(folder.glob(f"{stem}{SUFFIX}.index.*.json"))]
    if len(variants) > 1:
        names = ", ".join(escape(variant.name) for variant in variants)
        raise BadCheckpoint(f"{escape(folder)}: which of {names}? give the file itself")
    return variants[0] if variants else None


def _hint(path: Path) -> str:
    found = [p for p in [*path.glob("*"), *path.glob("*/*")] if p.suffix in PICKLES]
    return f"; convert {escape(found[0].name)}, a pickle, to safetensors first" if found else ""


def _index(path: Path) -> Layout:
    """Reads the index of a sharded set: {"metadata": {...}, "weight_map": {tensor: file}}."""
    label = escape(path)
    try:
        with path.open("rb") as file:
            index, text = Index(path, os.fstat(file.fileno())), file.read(MAX_HEADER + 1)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise BadCheckpoint(f"{label}: {reason}") from error
    try:
        return _parse_index(index, text)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{label}: {error}") from error


def _parse_index(index: Index, text: bytes) -> Layout:
    if len(text) > MAX_HEADER:
        raise BadCheckpoint(f"an index of more than {MAX_HEADER} bytes")
    parsed = strict_json(text, "the index", floats=True)
    weight_map = parsed.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadCheckpoint("not an index of shards: it has no weight_map")
    shards: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str):
            raise BadCheckpoint(f"the shard of {escape(tensor)} is not a name")
        shards.setdefault(shard, set()).add(tensor)
    folder = index.path.parent
    parts = tuple(
        Part(inside(folder, folder / plain_name(shard)), "", frozenset(names))
        for shard, names in sorted(shards.items())
    )
    return Layout(SHARDS, parts, folder, {"": replace(index, total=_total(parsed))})


def _total(parsed: dict[str, Any]) -> float | None:
    metadata = parsed.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return total if isinstance(total, int | float) else None


def plain_name(shard: str) -> str:
    """The name of a shard, if it is one: no folder, no trick. Raises BadCheckpoint."""
    if Path(shard).name != shard or "\\" in shard or "\0" in shard:
        raise BadCheckpoint(f"the shard name {escape(shard)} leaves the folder")
    if not shard.endswith(SUFFIX) or shard == SUFFIX:
        raise BadCheckpoint(f"the shard name {escape(shard)} does not end in {SUFFIX}")
    return shard


def inside(folder: Path, path: Path) -> Path:
    """The file behind path, if it lies in the folder or in the blobs of its Hub cache."""
    # unlike Path.resolve, realpath takes a link to itself as the file that it is
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    # models--NAME/snapshots/REVISION/COMPONENT -> models--NAME/blobs
    blobs = [up.parent / "blobs" for up in home.parents if up.name == "snapshots"]
    if not any(real.is_relative_to(root) for root in (home, *blobs)):
        raise BadCheckpoint(
            f"{escape(path.name)} is a link that leaves the folder; put the file itself there"
        )
    if not real.is_file():
        raise BadCheckpoint(f"the shard {escape(path.name)} is missing")
    return path
