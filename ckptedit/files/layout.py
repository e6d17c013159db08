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
from ckptedit.files.bounded import parse_json, read_bytes, read_json
from ckptedit.files.header import MAX_HEADER, Header
from ckptedit.files.names import escape
from ckptedit.files.open_file import same_content

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
WEIGHTS = ("diffusion_pytorch_model", "model")  # what diffusers and transformers call their files
SHARD = re.compile(r"-[0-9]+-of-[0-9]+\.safetensors$")  # how the name of one ends
FIRST = ("transformer", "unet", "text_encoder", "text_encoder_2", "text_encoder_3", "vae")
ASIDE = ("safety_checker",)  # a component that no command edits, and pictures do not need
OTHER_FORMATS = {  # of weights, by the ending -> what to call them
    ".bin": "a pickle", ".ckpt": "a pickle", ".pt": "a pickle", ".pth": "a pickle",
    ".pkl": "a pickle", ".msgpack": "Flax weights", ".h5": "TensorFlow weights",
    ".onnx": "an ONNX model", ".onnx_data": "an ONNX model", ".gguf": "a GGUF file",
    ".npz": "numpy arrays", ".tflite": "a TensorFlow Lite model",
}  # fmt: skip
LISTING = "model_index.json"  # of a diffusers folder: {"unet": ["diffusers", "..."], ...}
MAX_INDEX = 200_000  # tensors in the index of a sharded set, as in a file

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
    """The file that lists shards, as it was before it was read."""

    path: Path
    stat: os.stat_result
    total: float | None = None  # bytes of all tensors, it says

    def check(self) -> None:
        """Raises BadCheckpoint unless the shards that were opened are of one generation.

        Whoever replaces shards removes their index first: so as long as it is there, and the same,
        those that were opened since belong to it.
        """
        now = None
        with contextlib.suppress(OSError):
            now = self.path.stat()
        if not now or not same_content(now, self.stat):
            raise BadCheckpoint(f"{escape(self.path)}: replaced while its shards were opened")


@dataclass(frozen=True)
class Layout:
    kind: str  # SINGLE, SHARDS or FOLDER
    parts: tuple[Part, ...]
    folder: Path | None = None  # where the parts are, unless it is a single file
    indexes: Mapping[str, Index] = field(default_factory=dict)  # by the prefix of their parts
    unread: Mapping[str, str] = field(default_factory=dict)  # component -> why it is not a part
    passed_over: tuple[str, ...] = ()  # files of the same weights in another precision

    def require_all(self) -> None:
        """Raises BadCheckpoint if a component that matters cannot be read."""
        for name, reason in self.unread.items():
            if name not in ASIDE:
                raise BadCheckpoint(
                    f"{escape(self.folder)}: the component {escape(name)} cannot be read: {reason}"
                )


def find_layout(path: str | Path) -> Layout:
    """Finds the files of a checkpoint. Raises BadCheckpoint if there are none, or too many."""
    if str(path) == "-":
        return Layout(SINGLE, (Part("-"),))
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path)
        return _index(path) if path.name.endswith(".json") else Layout(SINGLE, (Part(path),))
    except FileNotFoundError:
        raise BadCheckpoint(f"{escape(path)}: no such file") from None
    except OSError as error:  # a name too long, a folder that may not be read
        raise BadCheckpoint(f"{escape(path)}: {error.strerror}") from error


def _folder(path: Path) -> Layout:
    """A folder of components, or one whose own weights are meant."""
    own = _weights(path)
    if own is not None:
        return find_layout(inside(path, own))
    children = sorted(child.name for child in path.iterdir() if child.is_dir())
    components = [name for name in children if _weights(path / name)]
    if not components:
        raise BadCheckpoint(f"{escape(path)}: {_what_is_there(path)}")
    components.sort(key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    parts: list[Part] = []
    indexes: dict[str, Index] = {}
    beside: list[str] = []
    for name in components:
        weights = _weights(path / name)
        assert weights is not None  # those without were left out
        beside += [f"{name}/{path.name}" for path in _variants(path / name) if path != weights]
        inner = find_layout(inside(path, weights))
        parts += [replace(part, prefix=f"{name}.") for part in inner.parts]
        indexes |= {f"{name}.": index for index in inner.indexes.values()}
    unread = _unread(path, set(children) - {*components})
    return Layout(FOLDER, tuple(parts), path, indexes, unread, tuple(beside))


def _unread(path: Path, others: set[str]) -> dict[str, str]:
    """Components with weights that are in none of the files looked for; and why.

    A folder is a component if its name is one that all pipelines use, or model_index.json lists it:
    beside them there may be `vae_decoder` with the same weights for another library.
    """
    listed = read_json(path / LISTING) if (path / LISTING).is_file() else {}
    known = {*FIRST, *ASIDE, *listed}
    reasons = {name: _other_weights(path / name) for name in sorted(others & known)}
    return {name: reason for name, reason in reasons.items() if reason}


def _other_weights(folder: Path) -> str | None:
    """What stands where the weights of a component should be; None if it has none."""
    names = sorted(child.name for child in folder.iterdir() if not child.name.startswith("."))
    if found := [name for name in names if name.endswith(SUFFIX)]:
        return f"{_some(found)} under no name that loaders look for ({_expected()})"
    if found := [name for name in names if Path(name).suffix in OTHER_FORMATS]:
        kind = OTHER_FORMATS[Path(found[0]).suffix]
        return f"it has only {_some(found)}, {kind}; convert it to safetensors first"
    return None


def _variants(folder: Path) -> list[Path]:
    variants = [p for stem in WEIGHTS for p in sorted(folder.glob(f"{stem}.*{SUFFIX}"))]
    variants = [path for path in variants if not SHARD.search(path.name)]  # their index counts
    variants += [p for stem in WEIGHTS for p in sorted(folder.glob(f"{stem}{SUFFIX}.index.*.json"))]
    return variants


def _weights(folder: Path) -> Path | None:
    """The one checkpoint in a folder: full precision before a variant such as fp16."""
    for stem in WEIGHTS:
        for name in (f"{stem}{SUFFIX}", f"{stem}{INDEX_SUFFIX}"):
            if (folder / name).is_file():
                return folder / name
    variants = _variants(folder)
    if len(variants) > 1:
        names = ", ".join(escape(variant.name) for variant in variants)
        raise BadCheckpoint(f"{escape(folder)}: which of {names}? give the file itself")
    return variants[0] if variants else None


def _what_is_there(path: Path) -> str:
    """Why a folder is no checkpoint: what it has, and what was expected."""
    found = [p for p in sorted([*path.glob("*"), *path.glob("*/*")]) if p.is_file()]
    ours = [str(p.relative_to(path)) for p in found if p.name.endswith((SUFFIX, INDEX_SUFFIX))]
    if ours:
        return f"has {_some(ours)}, but not {_expected()}; give the file itself"
    reason = "no safetensors files in this folder"
    other = next((p for p in found if p.suffix in OTHER_FORMATS), None)
    if other is None:
        return reason
    kind = OTHER_FORMATS[other.suffix]
    return f"{reason}; convert {escape(other.name)}, {kind}, to safetensors first"


def _expected() -> str:
    return " or ".join(f"{stem}{SUFFIX}" for stem in WEIGHTS)


def _some(names: list[str]) -> str:
    shown = ", ".join(map(escape, names[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _index(path: Path) -> Layout:
    """Reads the index of a sharded set: {"metadata": {...}, "weight_map": {tensor: file}}."""
    index = Index(path, path.stat())
    text = read_bytes(path, MAX_HEADER)
    try:
        return _parse_index(index, text)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{escape(path)}: {error}") from error


def _parse_index(index: Index, text: bytes) -> Layout:
    parsed = parse_json(text, "the index", items=4 * MAX_INDEX)
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
