"""A checkpoint's own text encoders."""

from pathlib import Path
from typing import Any

from torch.nn import Module

from ckptedit.errors import BadCheckpoint
from ckptedit.families import Family
from ckptedit.families.family import Reader
from ckptedit.families.load import Stored, unfilled
from ckptedit.families.streaming import held, stream
from ckptedit.families.vocabulary import Vocabulary, find_vocabulary
from ckptedit.files import Checkpoint
from ckptedit.text.clip import LARGE, ClipEncoder, numbers
from ckptedit.text.tokenizer import load_tokenizer
from ckptedit.text.tower import LAYERS, Tower


def load_text_encoder(
    checkpoint: Checkpoint,
    family: Family,
    *,
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    streamed: bool | None = None,
) -> ClipEncoder:
    """Loads a checkpoint's text encoders on the CPU, strictly.

    tokenizer: a folder or file; default: what `find_vocabulary` finds
    clip_skip: which layer is read, counted from the last, which is 1; default: the family's
    streamed:  whether layers are read from the file each time that they run, instead of being held;
               such encoders stay on the CPU. Default: of those of LARGE parameters or more
    """
    if not family.readers:
        raise BadCheckpoint(
            f"{checkpoint.label}: a {family.name} file holds no text encoder: give --embeddings"
        )
    vocabulary = find_vocabulary(checkpoint, family, tokenizer)
    loaded = load_tokenizer(vocabulary.where)
    towers = [_tower(checkpoint, family, reader, clip_skip, streamed) for reader in family.readers]
    encoder = ClipEncoder(loaded, *towers, empty_reads=family.empty_reads)
    encoder.vocabulary = vocabulary
    return encoder


def held_bytes(checkpoint: Checkpoint, family: Family, *, streamed: bool | None = None) -> int:
    """Bytes that `load_text_encoder` takes with the same arguments, by the header alone."""
    total = 0
    for reader in family.readers:
        module, stored = _unfilled(checkpoint, family, reader)
        large = numbers(module) >= LARGE if streamed is None else streamed
        total += held(module, stored, LAYERS) if large else 4 * numbers(module)
    return total


def _unfilled(checkpoint: Checkpoint, family: Family, reader: Reader) -> tuple[Module, Stored]:
    def build(config: dict[str, Any]) -> Module:
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

        kind = CLIPTextModelWithProjection if reader.pooled else CLIPTextModel
        module: Module = kind(CLIPTextConfig(**config))
        return module

    return unfilled(checkpoint, family, reader.component, build=build)


def _tower(
    checkpoint: Checkpoint,
    family: Family,
    reader: Reader,
    skip: int | None,
    streamed: bool | None,
) -> Tower:
    module, stored = _unfilled(checkpoint, family, reader)
    if streamed is None:
        streamed = numbers(module) >= LARGE
    if not streamed:
        module.load_state_dict(dict(stored), assign=True)
        return Tower(module, reader, skip)
    stream(module, stored, LAYERS)
    return Tower(module, reader, skip, stored=stored)
