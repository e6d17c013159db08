"""Prompts whose embeddings come from elsewhere: a file, or a text encoder of another kind.

All that the rest of the tool asks of an encoder, without knowing its tokens: a prompt is a run of
rows in one table, its "token numbers" are the numbers of these rows, and row 0, of zeros, fills
prompts up to one length. What reads both ways, as T5 does, tells a name in every row of a prompt,
so that a name's places are all of them.
"""

import re
from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.files.cache import digest
from ckptedit.text.encoder import BATCH, Encoded, TextEncoder, not_in

Source = Callable[[Sequence[str]], Sequence[Tensor]]  # prompts -> the rows [n, d] of each
Stock = Callable[[Sequence[str]], Sequence[str]]  # frames with {} -> prompts


class PromptTable(TextEncoder):
    """Reads each prompt once, from a source, and keeps its rows.

    read:  what embeds prompts, several at a time
    width: d
    room:  rows that a prompt may have, which all prompts are filled up to
    stock: prompts that stand for all that can be said, where an encoder of tokens has its
           vocabulary in some frames
    holds: whether it can read a prompt
    key:   tells this source from others, for what is kept on disk
    """

    def __init__(
        self,
        read: Source,
        *,
        width: int,
        room: int,
        stock: Stock,
        holds: Callable[[str], bool] = lambda prompt: True,
        key: str,
    ) -> None:
        self.read, self.holds, self._stock, self._key = read, holds, stock, key
        self.width, self.max_length = width, room
        self.rows = torch.zeros(1, width)  # the table; row 0 fills up
        self.places: dict[str, range] = {}
        self.words: dict[str, int] = {}

    @property
    def device(self) -> torch.device:
        return self.rows.device

    @property
    def large(self) -> bool:
        """Never: rows are looked up."""
        return False

    def to(self, device: torch.device | str) -> Self:
        """Stays on the CPU."""
        return self

    def digest(self) -> str:
        return digest(["prompts", self._key])

    def told(self, ids: Tensor) -> str:
        """Their texts: the number of a row says only when it was read."""
        return repr(self._prompts(ids))

    def reach(self, prompt: str) -> int:
        self.pad([prompt])
        return len(self.places[prompt])

    def stock(self, frames: Sequence[str]) -> Sequence[str]:
        return self._stock(frames)

    def tokens(self, text: str) -> list[int]:
        """A number for each word, which says whether two texts share words, and no more."""
        words = re.findall(r"[\w'-]+", text.lower())
        return [self.words.setdefault(word, len(self.words) + 1) for word in words]

    def require_concept(self, concept: str) -> list[int]:
        found = self.tokens(concept)
        if not found:
            raise BadParam(f"the concept {concept!r} is empty")
        return found

    def fits(self, prompt: str) -> bool:
        return self.holds(prompt)

    def pad(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Prompts to numbers of rows [n, L], and how many each has of its own [n]."""
        if not prompts:
            raise BadParam("no prompts to encode")
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self.places]
        for start in range(0, len(new), BATCH):
            self._add(new[start : start + BATCH])
        ids = torch.zeros(len(prompts), self.max_length, dtype=torch.long)
        for row, prompt in zip(ids, prompts, strict=True):
            place = self.places[prompt]
            row[: len(place)] = torch.tensor(place)
        return ids, torch.tensor([len(self.places[prompt]) for prompt in prompts])

    def _add(self, prompts: Sequence[str]) -> None:
        found = [rows.float().cpu() for rows in self.read(prompts)]
        for prompt, rows in zip(prompts, found, strict=True):
            if rows.ndim != 2 or rows.shape[1] != self.width or not len(rows):
                shape = list(rows.shape)
                raise BadParam(f"the embedding of {prompt!r} is {shape}, not [n, {self.width}]")
            if not torch.isfinite(rows).all():
                raise BadParam(f"the embedding of {prompt!r} holds NaN or Inf")
            if len(rows) > self.max_length:
                raise BadParam(
                    f"the prompt {prompt!r} has {len(rows)} rows; there is room for "
                    f"{self.max_length}"
                )
        start = len(self.rows)
        for prompt, rows in zip(prompts, found, strict=True):
            self.places[prompt] = range(start, start + len(rows))
            start += len(rows)
        self.rows = torch.cat([self.rows, *found])

    def encode(self, prompts: Sequence[str], *, batch: int = BATCH) -> Encoded:
        ids, lengths = self.pad(prompts)
        return Encoded(ids=ids, hidden=self.rows[ids], lengths=lengths)

    def encode_ids(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        return self.rows[ids]

    def gathered(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        raise BadParam(
            "--params te edits a CLIP text encoder, and this family's is in no such file"
        )

    def positions(self, prompt: str, concept: str) -> list[int]:
        """All rows of the prompt, if it names the concept; BadParam if it does not."""
        wanted, row = self.require_concept(concept), self.tokens(prompt)
        starts = range(len(row) - len(wanted) + 1)
        if not any(row[start : start + len(wanted)] == wanted for start in starts):
            raise not_in(prompt, concept)
        self.pad([prompt])
        return list(range(len(self.places[prompt])))

    def holding(self, ids: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
        """Which prompts [n, L] hold any of these words, one after another: bool [n]."""
        said = [self.tokens(prompt) for prompt in self._prompts(ids)]
        return torch.tensor([any(_within(row, list(word)) for word in words) for row in said])

    def _prompts(self, ids: Tensor) -> list[str]:
        first = {place[0]: prompt for prompt, place in self.places.items()}
        return [first[int(row[0])] for row in ids]


def _within(row: Sequence[int], word: Sequence[int]) -> bool:
    return any(list(row[i : i + len(word)]) == word for i in range(len(row) - len(word) + 1))
