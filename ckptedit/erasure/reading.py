"""A request as the K/V weights read it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ckptedit.concepts.prompts import Pair, retained_pairs, wanted_pairs
from ckptedit.concepts.request import Request
from ckptedit.errors import BadParam
from ckptedit.guards.guard import Reading
from ckptedit.subspaces.words import Words
from ckptedit.text.encoder import TextEncoder


def read(request: Request, words: Words, tokens: str) -> tuple[Reading, list[Pair], list[Pair]]:
    """Embeds a request's prompts; returns them, too: those to train away, and those to leave.

    tokens: which positions of retained prompts count, "all" or "concept"
    """
    wanted, kept = wanted_pairs(request), retained_pairs(request)
    stay = [pair.prompt for pair in kept]
    instead = list(dict.fromkeys(pair.anchor for pair in wanted))
    anchors = [target.anchor for target in request.targets]
    reading = Reading(
        kind=request.kind,
        target=words.prompts([pair.prompt for pair in wanted]),
        retain=words.prompts(stay),
        keep=counted(words.encoder, request, stay, tokens),
        anchors=words.prompts(instead),
        general=words.general,
        named=positions(words.encoder, anchors, instead),
    )
    return reading, wanted, kept


def shared(reading: Reading) -> dict[str, Any]:
    """The fields of a reading, for a Setting."""
    return {field.name: getattr(reading, field.name) for field in fields(Reading)}


def counted(encoder: TextEncoder, request: Request, prompts: Sequence[str], tokens: str) -> Tensor:
    """Which positions of the retained prompts are protected: bool [m, L]."""
    if tokens == "all":
        return torch.ones(len(prompts), encoder.max_length, dtype=torch.bool)
    names = [*request.retained, *(target.concept for target in request.earlier)]
    return positions(encoder, names, prompts)


def positions(encoder: TextEncoder, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
    """Where any of the names stands in the prompts: bool [m, L]."""
    found = torch.zeros(len(prompts), encoder.max_length, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        for name in names:
            if name not in prompt:
                continue
            with suppress(BadParam):  # "art" is in "an artwork", but is no word there
                found[row, encoder.positions(prompt, name)] = True
    return found
