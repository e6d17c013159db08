"""The prompts of a request: to train away, to leave as they are, and only to measure with."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ckptedit.concepts.request import MEDIA, OTHER, Request
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import (
    ALONE_FRAMES,
    HELD_OUT_FRAMES,
    TRAIN_FRAMES,
    fill,
    prompts_for,
)

PLAIN = ("", "a painting", "a photo")  # prompts that no edit may change


@dataclass(frozen=True)
class Pair:
    """What the student reads, and what the teacher reads at the same moment."""

    prompt: str
    anchor: str


def pairs(target: Target, companions: Sequence[str]) -> list[Pair]:
    """Prompts that name a target, each with the prompt that the anchor's picture is drawn for.

    companions: of the other kind; none: prompts that name the target alone
    """
    with_others = prompts_for(target.concept, target.kind, companions) if companions else []
    if target.kind == "style" and target.anchor.lower() in MEDIA:
        plain = f"a {target.anchor} of a {{object}}"
        instead = [fill(plain, object=word) for word in companions for _ in TRAIN_FRAMES]
        alone = [fill(plain, object="something")] * len(ALONE_FRAMES["style"])
    else:
        instead = prompts_for(target.anchor, target.kind, companions) if companions else []
        alone = prompts_for(target.anchor, target.kind)
    found = zip(with_others, instead, strict=True)
    singles = zip(prompts_for(target.concept, target.kind), alone, strict=True)
    return [Pair(*both) for both in (*found, *singles)]


def retained_pairs(request: Request) -> list[Pair]:
    """Prompts that must go on as they are; earlier targets with their anchors."""
    kind, other = request.kind, OTHER[request.kind]
    prompts = list(PLAIN)
    for concept in request.retain:
        prompts += prompts_for(concept, kind, request.companions[::2])
    for companion in request.companions:
        prompts += prompts_for(companion, other)
    stay = [Pair(prompt, prompt) for prompt in prompts if not _names(prompt, request.targets)]
    others = {kind: request.companions[::2], other: request.retain}  # what each kind is drawn with
    again = [pair for target in request.earlier for pair in pairs(target, others[target.kind])]
    return stay + [pair for pair in again if not _names(pair.prompt, request.targets)]


def held_out(concepts: Sequence[str], request: Request) -> list[str]:
    """Prompts that name concepts of the request's kind, and that nothing is built from."""
    company = request.companions[1::2] or request.companions
    return [
        prompt
        for concept in concepts
        for prompt in prompts_for(concept, request.kind, company, frames=HELD_OUT_FRAMES)
    ]


def _names(prompt: str, targets: Sequence[Target]) -> bool:
    """Whether a prompt names a target: "a photo of a cat" does, if "Photo" is to be erased."""
    words = (re.escape(target.concept.lower()) for target in targets)
    return any(re.search(rf"(?<!\w){word}(?!\w)", prompt.lower()) for word in words)
