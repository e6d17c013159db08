"""Prompts to what a denoiser reads of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import Family
from ckptedit.families.family import Reader
from ckptedit.families.load import unfilled
from ckptedit.families.streaming import stream
from ckptedit.families.vocabulary import Vocabulary, find_vocabulary
from ckptedit.files import Checkpoint
from ckptedit.files.cache import digest
from ckptedit.text.condition import Condition
from ckptedit.text.tokenizer import load_tokenizer
from ckptedit.text.tower import LAYERS, Read, Tower

LARGE = 20_000_000  # parameters, of which mini has a tenth and CLIP-L six times as many
BATCH = 64  # prompts per forward pass


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


class TextEncoder:
    """A tokenizer and the CLIP text transformers that it belongs to.

    spells: whether its tokens are known, and prompts can be made of them
    """

    spells = True

    def __init__(self, tokenizer: Any, *towers: Tower | Module, empty_reads: bool = True) -> None:
        """towers: one or more; a bare module is read as SD1's is

        empty_reads: as in `Family`
        Refuses a tokenizer that is not these transformers', above all an empty one.
        """
        self.tokenizer, self.empty_reads = tokenizer, empty_reads
        self.vocabulary: Vocabulary | None = None  # where the tokenizer was found
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
        return digest([str(sorted(self.tokenizer.get_vocab().items()))])

    def told(self, ids: Tensor) -> NDArray[Any] | str:
        """Of prompts [n, L], what tells them from any others that this encoder reads."""
        numbers: NDArray[Any] = ids.cpu().numpy()
        return numbers

    def reach(self, prompt: str) -> int:
        """Positions of a prompt that are read: all, padding included."""
        return self.max_length

    def stock(self, frames: Sequence[str]) -> Sequence[str]:
        """Prompts that stand for all that can be said, where no prompt is made of tokens."""
        raise NotImplementedError("its tokens are known")

    def holding(self, ids: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
        """Which prompts [n, L] hold any of the words, token after token: bool [n]."""
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
        """Whether more threads than one are worth their while."""
        return numbers(self.transformer) >= LARGE

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    def to(self, device: torch.device | str) -> "TextEncoder":
        """Moves the transformers; returns self."""
        for tower in self.towers:
            tower.to(device)
        return self

    def tokens(self, text: str) -> list[int]:
        """The token numbers of a text, without begin, end and padding."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def is_word(self, text: str) -> bool:
        """Whether the vocabulary has a text as one token, and so as a word of its own."""
        return len(self.tokens(text)) == 1

    def require_concept(self, concept: str) -> list[int]:
        """The token numbers of a concept; BadParam if there are none, or too many for a prompt."""
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
        """Whether the encoder reads all of a prompt."""
        return len(self.tokens(prompt)) <= self.max_length - 2

    @torch.no_grad()
    def encode(self, prompts: Sequence[str], *, batch: int = BATCH) -> Encoded:
        """Encodes prompts; one that is longer than the encoder reads is an error, not cut short."""
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
        """[n, L] token numbers, begin and end among them -> [n, L, d] float32."""
        if not len(ids):
            return torch.empty(0, ids.shape[1], self.width)
        return torch.cat([part.tokens for part in self._read(ids, batch)], -1)

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
        """What the heads of the first encoder's first self-attention gather, before its output
        projection.

        ids: [n, L] token numbers -> [n, L, d] float32
        """
        return torch.cat([self.towers[0].gathered(part) for part in ids.split(batch)])

    @torch.no_grad()
    def encode_unpadded(self, prompts: Sequence[str], *, batch: int = BATCH) -> Tensor:
        """As `encode`, without the padding that all prompts share: [n, longest, d] float32.

        Each position sees only those before it, so leaving out later ones changes nothing.
        """
        ids, lengths = self.pad(prompts)
        return self.encode_ids(ids[:, : int(lengths.max())], batch=batch)

    def pad(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Prompts to token numbers [n, L] and lengths [n], on the encoder's device."""
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
        """Where in the padded prompt the concept's tokens stand, each occurrence, in order.

        Raises BadParam if the concept is not in the prompt word for word.
        """
        wanted = self.require_concept(concept)
        row: list[int] = self.tokenizer(prompt, verbose=False).input_ids
        found = [
            start + offset
            for start in range(len(row) - len(wanted) + 1)
            if row[start : start + len(wanted)] == wanted
            for offset in range(len(wanted))
        ]
        if not found:
            raise BadParam(
                f"{concept!r} is not in the prompt {prompt!r}; write it exactly as it occurs there"
            )
        return list(dict.fromkeys(found))


def numbers(module: Module) -> int:
    """How many its parameters are."""
    return sum(each.numel() for each in module.parameters())


def load_text_encoder(
    checkpoint: Checkpoint,
    family: Family,
    *,
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    streamed: bool | None = None,
) -> TextEncoder:
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
    encoder = TextEncoder(loaded, *towers, empty_reads=family.empty_reads)
    encoder.vocabulary = vocabulary
    return encoder


def _tower(
    checkpoint: Checkpoint,
    family: Family,
    reader: Reader,
    skip: int | None,
    streamed: bool | None,
) -> Tower:
    def build(config: dict[str, Any]) -> Module:
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

        kind = CLIPTextModelWithProjection if reader.pooled else CLIPTextModel
        module: Module = kind(CLIPTextConfig(**config))
        return module

    module, stored = unfilled(checkpoint, family, reader.component, build=build)
    if streamed is None:
        streamed = numbers(module) >= LARGE
    if not streamed:
        module.load_state_dict(dict(stored), assign=True)
        return Tower(module, reader, skip)
    stream(module, stored, LAYERS)
    return Tower(module, reader, skip, stored=stored)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
