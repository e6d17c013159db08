"""The embeddings that prompts put in front of the K/V weights, as rows of one matrix."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.text.encoder import TextEncoder

TOKENS = ("concept", "all")


def token_embeddings(
    encoder: TextEncoder, prompts: Sequence[str], concepts: Sequence[str] | None = None
) -> Tensor:
    """Embeds prompts and lines up their tokens.

    concepts: one per prompt: only its own tokens are taken. None: every position is, the beginning,
              the end and all padding among them, since cross-attention reads them all
    returns:  [m, d] float32
    """
    if concepts is None:
        return encoder.encode(prompts).hidden.flatten(0, 1)
    hidden = encoder.encode_unpadded(prompts)  # [n, longest, d]
    places = [encoder.positions(p, c) for p, c in zip(prompts, concepts, strict=True)]
    return torch.cat([row[place] for row, place in zip(hidden, places, strict=True)])


def end_embeddings(encoder: TextEncoder, prompts: Sequence[str]) -> Tensor:
    """[n, d] float32: of each prompt, the embedding of the token that ends it.

    CLIP learns to sum a text up there: it is what CLIP calls the pooled embedding.
    """
    ends = encoder.pad(prompts)[1] - 1  # [n]
    hidden = encoder.encode_unpadded(prompts)  # [n, longest, d]
    return hidden[torch.arange(len(prompts)), ends.to(hidden.device)]


def require_tokens(tokens: str) -> None:
    """Raises BadParam unless tokens is "concept" or "all"."""
    if tokens not in TOKENS:
        raise BadParam(f"tokens must be one of {', '.join(TOKENS)}, not {tokens!r}")
