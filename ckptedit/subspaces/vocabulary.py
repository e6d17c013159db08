"""The second moment of all that a text encoder can say, to know what an edit would disturb.

What the moment does not contain is not protected, so it is taken over the tokenizer's whole
vocabulary and over the lexicon in sentences, padding included: real prompts are mostly padding.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.templates import KINDS, TRAIN_FRAMES, prompts_for
from ckptedit.files.cache import cached, digest
from ckptedit.progress import Track, silent
from ckptedit.subspaces.subspace import second_moment
from ckptedit.text.clip import ClipEncoder
from ckptedit.text.encoder import TextEncoder

VERSION = "2"  # of the recipe below; part of the cache's key
BATCH = 64
SINGLY = 20_000  # prompts; a vocabulary that needs more is shuffled into full prompts instead
TOKEN_FRAMES = ("{}", "a picture of {}", "something in {} style")  # around any one token
SHUFFLES = 2
COMPANIONS = 3  # lexicon concepts of the other kind that each concept meets


def vocabulary_moment(encoder: TextEncoder, lexicon: Lexicon, *, track: Track = silent) -> Tensor:
    """The mean of e eᵀ over all tokens, at all positions, of two sets of prompts, in equal parts.

    One set holds every token of the vocabulary: each alone in TOKEN_FRAMES, or, if those are more
    than SINGLY prompts, all of them shuffled into as many full prompts as it takes, SHUFFLES times.
    The other holds the lexicon: every concept alone, and in TRAIN_FRAMES with COMPANIONS.

    returns: [d, d] float64 on the CPU
    Cached on disk by the digest of the encoder's weights and vocabulary, and of the lexicon.
    """
    words = [prompt for prompt in lexicon_prompts(lexicon) if encoder.fits(prompt)]

    def make() -> np.ndarray:
        tokens = _moment(encoder, vocabulary_ids(encoder), "vocabulary", track)
        if not words:
            return tokens.numpy()
        lines = _moment(encoder, encoder.pad(words)[0], "lexicon", track)
        moment: np.ndarray = ((tokens + lines) / 2).numpy()
        return moment

    key = digest([VERSION, encoder.digest(), *words])
    return torch.from_numpy(cached("second-moment", key, make))


def vocabulary_ids(encoder: TextEncoder) -> Tensor:
    """Prompts that hold every token of the vocabulary: [n, L] token numbers.

    Of an encoder whose tokens are not known, what stands for them.
    """
    if not isinstance(encoder, ClipEncoder):
        return encoder.pad(encoder.stock(TOKEN_FRAMES))[0]
    special = set(encoder.tokenizer.all_special_ids)
    tokens = torch.tensor([i for i in range(len(encoder.tokenizer)) if i not in special])
    if len(tokens) * len(TOKEN_FRAMES) <= SINGLY:
        return torch.cat([_framed(encoder, frame, tokens) for frame in TOKEN_FRAMES])
    return torch.cat([_shuffled(encoder, tokens, seed) for seed in range(SHUFFLES)])


def lexicon_prompts(lexicon: Lexicon) -> list[str]:
    """Every concept of the lexicon, alone and with a few concepts of the other kind."""
    prompts: list[str] = []
    for kind, other in (KINDS, KINDS[::-1]):
        company = lexicon[other]
        for i, concept in enumerate(lexicon[kind]):
            prompts += prompts_for(concept, kind)
            for j in range(COMPANIONS if company else 0):
                step = i * COMPANIONS + j
                frame = TRAIN_FRAMES[step % len(TRAIN_FRAMES)]
                prompts += prompts_for(
                    concept, kind, [company[step % len(company)]], frames=[frame]
                )
    return prompts


def _framed(encoder: ClipEncoder, frame: str, tokens: Tensor) -> Tensor:
    """Each token in a frame, by its number: pieces of words have no spelling of their own."""
    before, after = frame.split("{}")
    tokenizer = encoder.tokenizer
    head = [tokenizer.bos_token_id, *encoder.tokens(before)]
    tail = [*encoder.tokens(after), tokenizer.eos_token_id]
    blank = encoder.max_length - len(head) - 1 - len(tail)
    row = torch.tensor([*head, 0, *tail, *[encoder.pad_id] * blank])
    rows = row.repeat(len(tokens), 1)
    rows[:, len(head)] = tokens
    return rows.to(encoder.device)


def _shuffled(encoder: ClipEncoder, tokens: Tensor, seed: int) -> Tensor:
    """All tokens in random order, cut into prompts; the last one is filled up from the front."""
    room = encoder.max_length - 2
    order = tokens[torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))]
    order = torch.cat([order, order[: -len(order) % room]]).view(-1, room)
    ends = [encoder.tokenizer.bos_token_id, encoder.tokenizer.eos_token_id]
    first, last = (torch.full((len(order), 1), end) for end in ends)
    return torch.cat([first, order, last], dim=1).to(encoder.device)


def _moment(encoder: TextEncoder, ids: Tensor, label: str, track: Track) -> Tensor:
    """The second moment of all tokens of these prompts, batch by batch."""
    total = torch.zeros(encoder.width, encoder.width, dtype=torch.float64)
    for part in _tracked(ids.split(BATCH), label, track):
        total += second_moment(encoder.encode_ids(part, batch=BATCH)) * len(part)
    return total / len(ids)


def _tracked(parts: tuple[Tensor, ...], label: str, track: Track) -> Iterator[Tensor]:
    return track(parts, f"reading the {label}")
