"""Prompts read by the CLIP text transformers of a checkpoint, one or several side by side."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module

from ckptedit.errors import BadParam
from ckptedit.files.cache import digest
from ckptedit.text.condition import Condition
from ckptedit.text.encoder import BATCH, Encoded, TextEncoder, not_in
from ckptedit.text.tokenizer import words_digest
from ckptedit.text.tower import Read, Tower

LARGE = 20_000_000  # parameters, of which mini has a tenth and CLIP-L six times as many


class ClipEncoder(TextEncoder):
    """A tokenizer and the CLIP text transformers that it belongs to."""

    def __init__(self, tokenizer: Any, *towers: Tower | Module, empty_reads: bool = True) -> None:
        """towers: one or more; a bare module is read as SD1's is

        empty_reads: as in `Family`
        Refuses a tokenizer that is not these transformers', above all an empty one.
        """
        self.tokenizer, self.empty_reads = tokenizer, empty_reads
        self.towers = [each if isinstance(each, Tower) else Tower(each) for each in towers]
        for tower in self.towers:
            if len(tokenizer) != tower.config.vocab_size:
                raise BadParam(
                    f"the tokenizer has {len(tokenizer)} tokens and the text encoder's embedding "
                    f"{tower.config.vocab_size} rows: they do not belong together"
                )
        self.pads = [self._number(tower.reader.pad) for tower in self.towers]
        self.pad_id = self.pads[0]
        self.width = sum(tower.width for tower in self.towers)
        positions = [tower.config.max_position_embeddings for tower in self.towers]
        self.max_length: int = min(tokenizer.model_max_length, *positions)

    def _number(self, token: str | None) -> int:
        """The number of a token; of None, that of the token that ends a text."""
        number: int = self.tokenizer.eos_token_id
        if token is not None:
            number = self.tokenizer.get_vocab().get(token, -1)
        if number < 0:
            raise BadParam(f"the tokenizer has no token {token!r}, which fills prompts up here")
        return number

    def digest(self) -> str:
        """sha256 of the weights in float32, of what is read of them, and of the vocabulary. Hex."""
        return digest(self._facts())

    def _facts(self) -> Iterator[str | NDArray[Any]]:
        yield self.words_digest()
        for tower in self.towers:
            yield f"{tower.layer} {tower.reader}"
            weights = tower.weights
            for name in sorted(weights):
                yield name
                yield weights[name].float().cpu().numpy()

    def words_digest(self) -> str:
        """sha256 of the tokens and their numbers. Hex."""
        return words_digest(self.tokenizer)

    def told(self, ids: Tensor) -> NDArray[Any] | str:
        numbers: NDArray[Any] = ids.cpu().numpy()
        return numbers

    def reach(self, prompt: str) -> int:
        """Positions of a prompt that are read: all, padding included."""
        return self.max_length

    def holding(self, ids: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
        found = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        for word in words:
            windows = ids.unfold(1, len(word), 1)  # [n, places, tokens]
            found |= (windows == torch.tensor(word, device=ids.device)).all(-1).any(-1)
        return found

    @property
    def transformer(self) -> Module:
        """The first, or only, transformer."""
        return self.towers[0].transformer

    @property
    def large(self) -> bool:
        return numbers(self.transformer) >= LARGE

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        for tower in self.towers:
            tower.to(device)
        return self

    def tokens(self, text: str) -> list[int]:
        def read() -> list[int]:
            ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            return ids

        return list(self.once(("tokens", text), read))

    def require_concept(self, concept: str) -> list[int]:
        ids = self.tokens(concept)
        if not ids:
            raise BadParam(f"the concept {concept!r} is empty")
        limit = self.max_length - 2  # begin and end of text
        if len(ids) > limit:
            raise BadParam(
                f"the concept {_shown(concept)} has {len(ids)} tokens; the encoder takes {limit}"
            )
        return ids

    def fits(self, prompt: str) -> bool:
        return len(self.tokens(prompt)) <= self.max_length - 2

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], *, batch: int = BATCH) -> Encoded:
        ids, lengths = self.pad(prompts)
        read = self._read(ids, batch)
        pooled = [part.pooled for part in read if part.pooled is not None]
        blank = None
        if not self.empty_reads:
            blank = torch.tensor([prompt == "" for prompt in prompts], device=self.device)
        hidden = torch.cat([part.tokens for part in read], -1)
        return Encoded(ids, hidden, lengths, pooled[0] if pooled else None, blank)

    @torch.no_grad()
    def encode_ids(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        if not len(ids):
            return torch.empty(0, ids.shape[1], self.width)
        return torch.cat([part.tokens for part in self._read(ids, batch)], -1)

    def condition(self, ids: Tensor) -> Condition:
        """What a denoiser reads of token numbers [n, L]; gradients flow through it, if they are on
        and no layer is streamed.

        Of a family in which the empty prompt reads as zeros, it does not here.
        """
        parts = self._read(ids, len(ids))
        pooled = [part.pooled for part in parts if part.pooled is not None]
        tokens = torch.cat([part.tokens for part in parts], -1)
        return Condition(tokens, pooled[0] if pooled else None)

    def _read(self, ids: Tensor, batch: int) -> list[Read]:
        """What each tower reads of token numbers that are padded for the first."""
        filled = [self._refilled(ids, pad) for pad in self.pads]
        return [
            Read.join([tower(part) for part in rows.split(batch)])
            for tower, rows in zip(self.towers, filled, strict=True)
        ]

    def _refilled(self, ids: Tensor, pad: int) -> Tensor:
        """The same prompts with other padding."""
        if pad == self.pad_id:
            return ids
        run = ids.eq(self.pad_id).flip(1).cumprod(1).flip(1).bool()  # to the end
        padding = run.clone()
        if self.pad_id == self.tokenizer.eos_token_id:  # the first of the run is what ends the text
            padding[:, 1:] &= run[:, :-1]
            padding[:, 0] = False
        return ids.masked_fill(padding, pad)

    @torch.no_grad()
    def gathered(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        return torch.cat([self.towers[0].gathered(part) for part in ids.split(batch)])

    def pad(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        if not prompts:
            raise BadParam("no prompts to encode")
        rows = self.tokenizer(list(prompts), verbose=False).input_ids
        lengths = [len(row) for row in rows]
        for prompt, length in zip(prompts, lengths, strict=True):
            if length > self.max_length:
                raise BadParam(
                    f"the prompt {_shown(prompt)} has {length - 2} tokens; the encoder takes "
                    f"{self.max_length - 2}"
                )
        padded = [row + [self.pad_id] * (self.max_length - len(row)) for row in rows]
        ids = torch.tensor(padded, device=self.device)  # [n, L]
        return ids, torch.tensor(lengths, device=self.device)

    def positions(self, prompt: str, concept: str) -> list[int]:
        wanted = self.require_concept(concept)
        row: list[int] = self.tokenizer(prompt, verbose=False).input_ids
        found = [
            start + offset
            for start in range(len(row) - len(wanted) + 1)
            if row[start : start + len(wanted)] == wanted
            for offset in range(len(wanted))
        ]
        if not found:
            raise not_in(prompt, concept)
        return list(dict.fromkeys(found))


def numbers(module: Module) -> int:
    """How many its parameters are."""
    return sum(each.numel() for each in module.parameters())


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
