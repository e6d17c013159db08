"""What a text encoder has to say: of given prompts, of single names, and in general."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.progress import Track, silent
from ckptedit.subspaces.vocabulary import vocabulary_moment
from ckptedit.text.encoder import TextEncoder


@dataclass(frozen=True)
class Words:
    """A text encoder, and the lexicon of what is said with it."""

    encoder: TextEncoder
    lexicon: Lexicon
    track: Track = silent

    def general(self) -> Tensor:
        """[d, d] float64, second moment of the tokens of the whole vocabulary and lexicon."""
        return vocabulary_moment(self.encoder, self.lexicon, track=self.track)

    def prompts(self, prompts: Sequence[str]) -> Tensor:
        """[n, L, d] float32, the token embeddings of prompts."""
        return self.encoder.encode(prompts).hidden

    def gathered(self, prompts: Sequence[str]) -> Tensor:
        """[n, L, d] float32, what the output of the encoder's first self-attention reads."""
        return self.encoder.gathered(self.encoder.pad(prompts)[0])

    def last_tokens(self, names: Sequence[str]) -> Tensor:
        """[n, d] float32: of each name, alone in a prompt, the embedding of its last token."""
        hidden = self.encoder.encode_unpadded(names)  # [n, longest, d]
        ends = [self.encoder.positions(name, name)[-1] for name in names]
        return hidden[torch.arange(len(names)), torch.tensor(ends)]
