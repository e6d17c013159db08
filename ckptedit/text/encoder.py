"""Prompts to the embeddings that a UNet's cross-attention reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import Family
from ckptedit.families.load import load_component
from ckptedit.files import Checkpoint
from ckptedit.text.condition import Condition
from ckptedit.text.tokenizer import HOW, load_tokenizer

BATCH = 64  # prompts per forward pass
FIRST_OUTPUT = "encoder.layers.0.self_attn.out_proj"


@dataclass(frozen=True)
class Encoded:
    """n prompts, padded to L tokens.

    ids:     [n, L] token numbers: begin, words, end, padding
    hidden:  [n, L, d] float32, the encoder's last state as the UNet reads it, final norm included
    lengths: [n] tokens before the padding, begin and end among them
    """

    ids: Tensor
    hidden: Tensor
    lengths: Tensor

    @property
    def condition(self) -> Condition:
        """What a denoiser reads of them."""
        return Condition(self.hidden)


class TextEncoder:
    """A tokenizer and the CLIP text transformer it belongs to."""

    def __init__(self, tokenizer: Any, transformer: Module) -> None:
        """Refuses a tokenizer that is not this transformer's, above all an empty one."""
        config: Any = transformer.config
        if len(tokenizer) != config.vocab_size:
            raise BadParam(
                f"the tokenizer has {len(tokenizer)} tokens and the text encoder's embedding "
                f"{config.vocab_size} rows: they do not belong together"
            )
        self.tokenizer = tokenizer
        self.transformer = transformer
        self.width: int = config.hidden_size
        self.max_length: int = min(tokenizer.model_max_length, config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    def to(self, device: torch.device | str) -> "TextEncoder":
        """Moves the transformer; returns self."""
        self.transformer.to(device)
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
        return Encoded(ids=ids, hidden=self.encode_ids(ids, batch=batch), lengths=lengths)

    @torch.no_grad()
    def encode_ids(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        """[n, L] token numbers, begin and end among them -> [n, L, d] float32."""
        parts = [self.transformer(part).last_hidden_state for part in ids.split(batch)]
        return torch.cat(parts).float() if parts else torch.empty(0, ids.shape[1], self.width)

    @torch.no_grad()
    def gathered(self, ids: Tensor, *, batch: int = BATCH) -> Tensor:
        """What the heads of the first self-attention gather, before its output projection.

        ids: [n, L] token numbers -> [n, L, d] float32
        """
        names = (name for name, _ in self.transformer.named_modules())
        name = next(name for name in names if name.endswith(FIRST_OUTPUT))
        seen: list[Tensor] = []
        hook = self.transformer.get_submodule(name).register_forward_pre_hook(
            lambda module, given: seen.append(given[0].float())
        )
        try:
            self.encode_ids(ids, batch=batch)
        finally:
            hook.remove()
        return torch.cat(seen)

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
        pad = self.tokenizer.pad_token_id
        padded = [row + [pad] * (self.max_length - len(row)) for row in rows]
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


def load_text_encoder(
    checkpoint: Checkpoint, family: Family, *, tokenizer: Path | None = None
) -> TextEncoder:
    """Loads a checkpoint's text encoder on the CPU, strictly.

    tokenizer: a folder or file; default: the family's own, or that of a diffusers folder
    """
    if not family.readers:
        raise BadCheckpoint(
            f"{checkpoint.label}: a {family.name} file holds no text encoder: give --embeddings"
        )
    if len(family.readers) > 1:
        raise BadCheckpoint(
            f"{family.name} reads two text encoders, which this version cannot run; commands that "
            f"only read or edit weights work"
        )
    found = _find_tokenizer(checkpoint, family, tokenizer)
    pad = family.readers[0].pad
    loaded = load_tokenizer(found, pad_token=pad)
    return TextEncoder(loaded, load_component(checkpoint, family, "text_encoder", build=_build))


def _build(config: dict[str, Any]) -> Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    module: Module = CLIPTextModel(CLIPTextConfig(**config))
    return module


def _find_tokenizer(checkpoint: Checkpoint, family: Family, given: Path | None) -> Path:
    if given is not None:
        return given
    packaged = family.folder / "tokenizer" if family.folder else None
    beside = Path(checkpoint.path) / "tokenizer"
    for folder in (beside, packaged):
        if folder and folder.is_dir():
            return folder
    raise BadParam(f"{family.name} needs a tokenizer: --tokenizer PATH, {HOW}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
