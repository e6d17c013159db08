"""Where a tokenizer is found: with the model, or in what else is on this machine. Needs no torch.

All CLIP text encoders share one vocabulary, and no family but mini ships with it. In this order:
what the user names; beside the checkpoint; in the local cache of the Hugging Face hub, of any model
that has it; in an installed `open_clip`, which is not imported; and, only if that is allowed, from
the hub.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families.family import Family
from ckptedit.files import Checkpoint, escape
from ckptedit.files.bounded import read_json

MAX_BYTES = 16_000_000  # of a file; CLIP's tokenizer.json has 3.6 million
ENOUGH = ("tokenizer.json",), ("vocab.json", "merges.txt")
GZ = "bpe_simple_vocab_16e6.txt.gz"
FOLDER = "tokenizer"
HOW = (
    "a folder with tokenizer.json or with vocab.json and merges.txt (tokenizer/ of any diffusers "
    f"model, ComfyUI's sd1_tokenizer/), or open_clip's {GZ}"
)
REPOSITORY = "openai/clip-vit-large-patch14"  # of the hub, whose tokenizer it is
FETCHED = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")

CLIP_TOKENS = 49_408

GIVEN, BESIDE, SHIPPED = "given", "beside the checkpoint", "of the tool"
CACHED, INSTALLED, DOWNLOADED = "in the hub's cache", "in an installed open_clip", "downloaded"


class Vocabulary(NamedTuple):
    """where: a folder or file; source: how it was found, one of the six above."""

    where: Path
    source: str


def find_vocabulary(
    checkpoint: Checkpoint,
    family: Family,
    given: "str | Path | Vocabulary | None" = None,
    *,
    download: bool = False,
) -> Vocabulary:
    """The tokenizer of a checkpoint's text encoder; no file of it is trusted yet.

    given:    by the user, a folder or file, or what was found before
    download: whether the hub may be asked if there is none
    Raises BadParam if there is none, or none could be downloaded.
    """
    if given is not None:
        return given if isinstance(given, Vocabulary) else Vocabulary(Path(given), GIVEN)
    if found := next(_found(checkpoint, family), None):
        return found
    if download:
        return Vocabulary(_fetched(), DOWNLOADED)
    raise BadParam(
        f"{family.name} needs a tokenizer, and there is none beside {checkpoint.label}, in the "
        f"cache of the hub or in an installed open_clip; give --tokenizer PATH, {HOW}; or "
        f"--allow-download"
    )


def _found(checkpoint: Checkpoint, family: Family) -> Iterator[Vocabulary]:
    rows = _rows(family)
    for place in _beside(checkpoint):
        if place.name == FOLDER or _holds(place) == rows:
            yield Vocabulary(place, BESIDE)
    if family.folder and (family.folder / FOLDER).is_dir():
        yield Vocabulary(family.folder / FOLDER, SHIPPED)
        return
    for place in _cached():
        if _holds(place) == rows:
            yield Vocabulary(place, CACHED)
    spec = find_spec("open_clip")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder) / GZ).is_file():
            yield Vocabulary(path, INSTALLED)


def _beside(checkpoint: Checkpoint) -> Iterator[Path]:
    """A checkpoint's folder of that name, and, of a file, the files that lie next to it."""
    path = Path(checkpoint.path)
    root = path if path.is_dir() else path.absolute().parent
    if (root / FOLDER).is_dir():
        yield root / FOLDER
    if path.is_file():
        if (root / GZ).is_file():
            yield root / GZ
        yield root


def _cached() -> Iterator[Path]:
    """Folders of the hub's cache in which a tokenizer may be, in the order of their names."""
    said = os.environ.get
    home = said("HF_HOME") or f"{said('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    hub = Path(said("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    for snapshot in sorted(hub.glob("models--*/snapshots/*")):
        yield from (place for place in (snapshot / FOLDER, snapshot) if place.is_dir())


def _holds(place: Path) -> int | None:
    """How many tokens a place has, if it is a CLIP tokenizer with merges; else None."""
    if place.suffix == ".gz":
        return CLIP_TOKENS
    try:
        if (place / "vocab.json").is_file() and (place / "merges.txt").is_file():
            return len(read_json(place / "vocab.json", MAX_BYTES))
        if not (place / "tokenizer.json").is_file():
            return None
        said = read_json(place / "tokenizer.json", MAX_BYTES)
        added = {token["id"] for token in said.get("added_tokens", ())}
        vocabulary, merges = said["model"]["vocab"], said["model"]["merges"]
        return len(added | set(vocabulary.values())) if merges else None
    except (BadCheckpoint, OSError, KeyError, TypeError, AttributeError):
        return None


def _rows(family: Family) -> int:
    """The tokens that a family's text encoder knows."""
    path = family.folder and family.folder / family.readers[0].component / "config.json"
    if path is None or not path.is_file():
        raise BadCheckpoint(f"no text encoder of {family.name} can be run")
    rows: int = read_json(path)["vocab_size"]
    return rows


def _fetched() -> Path:
    """Downloads CLIP's tokenizer into the hub's cache; the folder it is in."""
    os.environ.pop("HF_HUB_OFFLINE", None)
    from huggingface_hub import hf_hub_download

    try:
        paths = [Path(hf_hub_download(REPOSITORY, name)) for name in FETCHED]
    except Exception as error:  # of many kinds: no network, no such file, refused
        reason = escape((str(error).splitlines() or [type(error).__name__])[0])
        raise BadParam(
            f"could not download the tokenizer of {REPOSITORY} ({reason}); give --tokenizer PATH, "
            f"{HOW}"
        ) from error
    return paths[0].parent
