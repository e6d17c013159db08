"""Pairs of prompts that differ in one concept, position by position: what should become what.

In a text encoder with a causal mask a concept colours every token from its own on: on mini, an end
token and the padding after it tell a style as well as its name does. Positions are counted from the
end of the sentence, so that what follows the concept stands beside itself, however many tokens the
two names have.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ckptedit.concepts.prompts import Pair
from ckptedit.text.encoder import TextEncoder


def aligned(
    encoder: TextEncoder, concept: str, pairs: Sequence[Pair], *, positions: str = "all"
) -> tuple[Tensor, Tensor]:
    """The tokens of prompts that name a concept, and beside each the anchor's token in its place.

    positions: from the concept's first token on: "all" to the last one, padding included; "words",
               those before the end token; "end", that and the padding
    returns:   two of [m, d] float64 on the CPU
    Raises BadParam for a prompt that does not name the concept.
    """
    ids, lengths = encoder.pad([pair.prompt for pair in pairs])  # [n, L], [n]
    others, ends = encoder.pad([pair.anchor for pair in pairs])
    starts = [encoder.positions(pair.prompt, concept)[0] for pair in pairs]
    first = torch.tensor(starts, device=ids.device)[:, None]  # [n, 1]
    place = torch.arange(ids.shape[1], device=ids.device).expand(len(pairs), -1)  # [n, L]
    across = beside(place, (ends - lengths)[:, None], first=first, last=ids.shape[1] - 1)
    end = (lengths - 1)[:, None]  # of the end token
    counted = {"all": place >= first, "words": place < end, "end": place >= end}[positions]
    reach = torch.tensor([encoder.reach(pair.prompt) for pair in pairs], device=ids.device)
    counted = (counted & (place >= first) & (place < reach[:, None])).cpu()
    hidden = encoder.encode_ids(ids).double().cpu()  # [n, L, d]
    instead = _encoded_once(encoder, others).double().cpu()
    instead = instead.gather(1, across.cpu()[..., None].expand_as(instead))
    return hidden[counted], instead[counted]


def beside(place: Tensor, later: Tensor, *, first: Tensor, last: int) -> Tensor:
    """Where in the anchor's prompt is what belongs to a place in the target's.

    later: tokens that the anchor's prompt has more, n' - n; first: of the concept; last: of all
    Position p goes with p + n' - n, but for what would be before the concept, where the anchor has
    fewer tokens, or beyond the last position: that goes with these.
    """
    return torch.maximum(place + later, first).clamp(max=last)


def _encoded_once(encoder: TextEncoder, ids: Tensor) -> Tensor:
    """As `encode_ids`, each distinct row once: a sentence about an anchor comes again and again."""
    rows, back = torch.unique(ids, dim=0, return_inverse=True)
    return encoder.encode_ids(rows)[back]
