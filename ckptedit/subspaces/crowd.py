"""Second moments of many prompts, kept on disk, that can be had without the prompts of some words.

What an erasure leaves alone is all that a text encoder can say, but for what is erased. The moment
of all of it is computed once; the prompts that hold a target's tokens are few, so that they are
read again and subtracted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.templates import require_kind
from ckptedit.files.cache import cached, digest
from ckptedit.progress import Track, silent
from ckptedit.subspaces.subspace import second_moment
from ckptedit.subspaces.vocabulary import lexicon_prompts
from ckptedit.text.clip import ClipEncoder
from ckptedit.text.encoder import TextEncoder

VERSION = "1"  # of the recipe below; part of the cache's key
BATCH = 64
PROMPTS = 700  # that a vocabulary is put into, as far as its prompts have room for it
SLOTS = {"style": "something in {} style", "object": "a picture of {}"}


@dataclass(frozen=True)
class Crowd:
    """Prompts that are only ever looked at together.

    ids:  [n, L] token numbers, begin, end and padding among them
    name: what they are, for the progress: "vocabulary"
    """

    encoder: TextEncoder
    ids: Tensor
    name: str

    def moment(self, without: Sequence[Sequence[int]] = (), *, track: Track = silent) -> Tensor:
        """The mean of e eᵀ over all tokens of these prompts, but for those that hold some words.

        without: token numbers of each of these words, as they follow one another
        returns: [d, d] float64 on the CPU; zeros if no prompt is left
        """
        out = self.encoder.holding(self.ids, without)  # [n]
        left = int((~out).sum())
        if not left:
            return torch.zeros(self.encoder.width, self.encoder.width, dtype=torch.float64)
        total = self._all(track)
        if out.any():
            total = total - _sum(self.encoder, self.ids[out], "", silent)
        return total / left

    def _all(self, track: Track) -> Tensor:
        def make() -> np.ndarray:
            made: np.ndarray = _sum(self.encoder, self.ids, self.name, track).numpy()
            return made

        key = digest([VERSION, self.encoder.digest(), self.encoder.told(self.ids)])
        return torch.from_numpy(cached("moment", key, make))


def vocabulary_in_slot(encoder: TextEncoder, kind: str) -> Crowd:
    """Every token of the vocabulary once, in the slot of a sentence about a kind of concept.

    Several share a sentence, as many as it takes to need no more than PROMPTS of them, if they have
    the room: two on mini, 71 with CLIP's vocabulary.
    """
    require_kind(kind)
    if not isinstance(encoder, ClipEncoder):
        return Crowd(encoder, encoder.pad(encoder.stock([SLOTS[kind]]))[0], "vocabulary")
    tokenizer, special = encoder.tokenizer, set(encoder.tokenizer.all_special_ids)
    tokens = torch.tensor([i for i in range(len(tokenizer)) if i not in special])
    before, after = SLOTS[kind].split("{}")
    head = [tokenizer.bos_token_id, *encoder.tokens(before)]
    tail = [*encoder.tokens(after), tokenizer.eos_token_id]
    room = encoder.max_length - len(head) - len(tail)
    each = min(room, -(-len(tokens) // PROMPTS))
    order = tokens[torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0))]
    order = torch.cat([order, order[: -len(order) % each]]).view(-1, each)
    rows = torch.full((len(order), encoder.max_length), encoder.pad_id)
    rows[:, : len(head)] = torch.tensor(head)
    rows[:, len(head) : len(head) + each] = order
    rows[:, len(head) + each : len(head) + each + len(tail)] = torch.tensor(tail)
    return Crowd(encoder, rows.to(encoder.device), "vocabulary")


def lexicon_in_sentences(encoder: TextEncoder, lexicon: Lexicon) -> Crowd:
    """The concepts of a lexicon alone, and with a few of the other kind.

    Of a lexicon that fills more than PROMPTS sentences, every n-th of them.
    """
    prompts = [prompt for prompt in lexicon_prompts(lexicon) if encoder.fits(prompt)] or [""]
    some = prompts[:: -(-len(prompts) // PROMPTS)]
    return Crowd(encoder, encoder.pad(some)[0], "lexicon")


def _sum(encoder: TextEncoder, ids: Tensor, name: str, track: Track) -> Tensor:
    """Over the prompts, of the mean of e eᵀ of each: [d, d] float64."""
    total = torch.zeros(encoder.width, encoder.width, dtype=torch.float64)
    for part in track(ids.split(BATCH), f"reading the {name}"):
        total += second_moment(encoder.encode_ids(part, batch=BATCH)) * len(part)
    return total
