"""Prompts to what a denoiser reads of them: what the rest of the tool asks of whoever does that."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.text.condition import Condition

BATCH = 64  # prompts per forward pass

T = TypeVar("T")


@dataclass(frozen=True)
class Encoded:
    """n prompts, padded to L tokens.

    ids:     [n, L] token numbers: begin, words, end, padding (as the first encoder is filled up)
    hidden:  [n, L, d] float32, the states that the K/V weights read; of several encoders side by
             side
    lengths: [n] tokens before the padding, begin and end among them
    pooled:  [n, p] float32, the vector beside them that some families read, or None
    blank:   bool [n], the prompts that a denoiser reads zeros of, or None
    """

    ids: Tensor
    hidden: Tensor
    lengths: Tensor
    pooled: Tensor | None = None
    blank: Tensor | None = None

    @property
    def condition(self) -> Condition:
        """What a denoiser reads of them."""
        if self.blank is None:
            return Condition(self.hidden, self.pooled)
        pooled = None if self.pooled is None else self.pooled.masked_fill(self.blank[:, None], 0)
        return Condition(self.hidden.masked_fill(self.blank[:, None, None], 0), pooled)


class TextEncoder(ABC):
    """`ClipEncoder`, whose tokens are known, so that prompts can be made of them, or `PromptTable`.

    width:      d of what it reads; max_length: L, positions that a prompt is filled up to
    vocabulary: where the tokenizer was found, if it has one
    """

    width: int
    max_length: int
    vocabulary: Vocabulary | None = None

    @property
    @abstractmethod
    def device(self) -> torch.device: ...

    @property
    @abstractmethod
    def large(self) -> bool:
        """Whether a prompt takes long enough that more threads than one are worth their while."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Moves what it computes with; returns self."""

    @abstractmethod
    def digest(self) -> str:
        """Tells it from all others that read any prompt otherwise. Hex."""

    @abstractmethod
    def told(self, ids: Tensor) -> NDArray[Any] | str:
        """Of prompts [n, L], what tells them from any others that this encoder reads."""

    def once(self, key: Hashable, make: Callable[[], T], *, given: object = None) -> T:
        """What `make` returns, computed the first time that this encoder is asked for the key, and
        kept as long as it lives, or until it is asked for the key with something else given.

        It must depend on the key, on what is given, and on the encoder alone.
        """
        if key not in self._kept or self._kept[key][0] != given:
            self._kept[key] = (given, make())
        kept: T = self._kept[key][1]
        return kept

    @cached_property
    def _kept(self) -> dict[Hashable, tuple[object, Any]]:
        return {}

    @abstractmethod
    def reach(self, prompt: str) -> int:
        """Positions of a prompt that are read."""

    def stock(self, frames: Sequence[str]) -> Sequence[str]:
        """Prompts that stand for all that can be said, where none is made of tokens; frames: with a
        {} for a name."""
        return ()

    @abstractmethod
    def holding(self, ids: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
        """Which prompts [n, L] hold any of the words, token after token: bool [n]."""

    @abstractmethod
    def tokens(self, text: str) -> list[int]:
        """The token numbers of a text, without begin, end and padding."""

    def is_word(self, text: str) -> bool:
        """Whether the vocabulary has a text as one token, and so as a word of its own."""
        return len(self.tokens(text)) == 1

    @abstractmethod
    def require_concept(self, concept: str) -> list[int]:
        """The token numbers of a concept; BadParam if there are none, or too many for a prompt."""

    @abstractmethod
    def fits(self, prompt: str) -> bool:
        """Whether the encoder reads all of a prompt."""

    @abstractmethod
    def pad(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Prompts to token numbers [n, L] and lengths [n], on the encoder's device; BadParam if
        there are none."""

    @abstractmethod
    def encode(self, prompts: Sequence[str], *, batch: int = BATCH) -> Encoded:
        """Encodes prompts; one that is longer than the encoder reads is an error, not cut short."""

    @abstractmethod
    def encode_ids(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        """[n, L] token numbers, begin and end among them -> [n, L, d] float32."""

    def encode_unpadded(self, prompts: Sequence[str], *, batch: int = BATCH) -> Tensor:
        """As `encode`, without the padding that all prompts share: [n, longest, d] float32.

        Each position sees only those before it, so leaving out later ones changes nothing.
        """
        ids, lengths = self.pad(prompts)
        return self.encode_ids(ids[:, : int(lengths.max())], batch=batch)

    @abstractmethod
    def gathered(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        """What the heads of the first encoder's first self-attention gather, before its output
        projection; BadParam of another kind of encoder.

        ids: [n, L] token numbers -> [n, L, d] float32
        """

    @abstractmethod
    def positions(self, prompt: str, concept: str) -> list[int]:
        """Where in the padded prompt the concept's tokens stand, each occurrence, in order.

        Raises BadParam if the concept is not in the prompt word for word.
        """


def not_in(prompt: str, concept: str) -> BadParam:
    return BadParam(
        f"{concept!r} is not in the prompt {prompt!r}; write it exactly as it occurs there"
    )
