"""The words that a tokenizer has as one token, and what they are to the encoder in a sentence."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.names import distinct
from ckptedit.concepts.neighbors import readable
from ckptedit.concepts.templates import NEUTRAL_FRAME
from ckptedit.errors import BadParam
from ckptedit.families import Family
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint
from ckptedit.files.cache import cached, digest
from ckptedit.progress import Track, silent
from ckptedit.text.clip import ClipEncoder
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.load import load_text_encoder

VERSION = "1"  # of the recipe below; part of the cache's key
BATCH = 256  # prompts, of a few tokens each


def whole_words(encoder: TextEncoder) -> list[str]:
    """The words of the vocabulary in its order: what is one token in a sentence, with a letter or
    digit in it. Pieces of words, of which no prompt is made, are not among them.
    """
    if not isinstance(encoder, ClipEncoder):
        raise BadParam("this text encoder has no vocabulary to look through; give @file of names")
    tokenizer = encoder.tokenizer
    ids = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    texts = [text.strip() for text in tokenizer.batch_decode([[i] for i in ids])]
    framed = [NEUTRAL_FRAME.format(text) for text in texts]
    rows = tokenizer(framed, add_special_tokens=False, verbose=False).input_ids
    before = len(encoder.tokens(NEUTRAL_FRAME.format("")))
    return [
        text
        for i, text, row in zip(ids, texts, rows, strict=True)
        if row[before:] == [i] and any(letter.isalnum() for letter in text)
    ]


def word_embeddings(encoder: TextEncoder, names: Sequence[str], *, track: Track = silent) -> Tensor:
    """[n, 2, d] float32 on the CPU: each name's last token in NEUTRAL_FRAME, and the token after
    it, which ends the text.

    Cached on disk by the digest of the encoder's weights and vocabulary, and of the names.
    """

    def make() -> np.ndarray:
        ids, lengths = encoder.pad([NEUTRAL_FRAME.format(name) for name in names])
        ids = ids[:, : int(lengths.max())]
        parts = list(zip(ids.split(BATCH), lengths.split(BATCH), strict=True))
        found = [_last_two(encoder, *part) for part in track(parts, "reading the words")]
        rows: np.ndarray = torch.cat(found).numpy()
        return rows

    key = digest([VERSION, NEUTRAL_FRAME, encoder.digest(), *names])
    return torch.from_numpy(cached("words", key, make))


def _last_two(encoder: TextEncoder, ids: Tensor, lengths: Tensor) -> Tensor:
    places = torch.stack([lengths - 2, lengths - 1], dim=1).clamp(min=0)  # [n, 2]
    hidden = encoder.encode_ids(ids, batch=BATCH)
    return hidden[torch.arange(len(ids), device=hidden.device)[:, None], places].cpu()


def known_words(
    checkpoint: Checkpoint,
    family: Family,
    *,
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    encoder: TextEncoder | None = None,
    track: Track = silent,
) -> tuple[list[str], NDArray[np.float32]]:
    """All that a checkpoint's text encoder has a word for: the lexicon's concepts, and the whole
    words of the vocabulary that are none of them.

    encoder: instead of the checkpoint's own; one without a vocabulary has the lexicon's alone
    returns: the names, and their `word_embeddings` [n, 2, d]
    Raises BadParam if it can read none.
    """
    encoder = encoder or load_text_encoder(
        checkpoint, family, tokenizer=tokenizer, clip_skip=clip_skip
    )
    concepts = distinct(readable(encoder, lexicon_of(family)))
    if not isinstance(encoder, ClipEncoder):
        if not concepts:
            raise BadParam(
                f"no concept of the lexicon is read here, as {NEUTRAL_FRAME.format('Cat')!r} would "
                f"be; --list-prompts prints all"
            )
        return concepts, word_embeddings(encoder, concepts, track=track).numpy()
    words = whole_words(encoder)
    kept = set(distinct([*concepts, *words])[len(concepts) :])
    rows = torch.cat(
        [
            word_embeddings(encoder, concepts, track=track),
            word_embeddings(encoder, words, track=track)[[w in kept for w in words]],
        ]
    )
    return [*concepts, *(word for word in words if word in kept)], rows.numpy()
