"""The prompts of a request: to train away, to leave as they are, and only to measure with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from ckptedit.concepts.anchors import MEDIA
from ckptedit.concepts.names import is_named, normal
from ckptedit.concepts.request import Names, Request
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import (
    ALONE_FRAMES,
    HELD_OUT_FRAMES,
    KINDS,
    OTHER,
    TRAIN_FRAMES,
    fill,
    prompts_for,
)

MEASURED = 48  # prompts: means over more are no truer
FEW = 16  # for a large encoder, which takes a second for each
PLAIN = ("", "a painting", "a photo")  # prompts that no edit may change


@dataclass(frozen=True)
class Pair:
    """What the student reads, and what the teacher reads at the same moment.

    which: the target that the prompt is of, or what else it retains, counted from 0
    name:  of the target, as it stands in the prompt; "" where none is to be found in it
    """

    prompt: str
    anchor: str
    which: int = 0
    name: str = ""


def pairs(target: Target, companions: Sequence[str]) -> list[Pair]:
    """Prompts that name a target, each with the prompt that the anchor's picture is drawn for.

    companions: of the other kind; none: prompts that name the target alone
    """
    with_others = prompts_for(target.concept, target.kind, companions) if companions else []
    if target.kind == "style" and normal(target.anchor) in MEDIA:
        plain = [
            fill("a {style} of a {object}", style=target.anchor, object=word)
            for word in (*companions, "something")
        ]
        instead = [prompt for prompt in plain[:-1] for _ in TRAIN_FRAMES]
        alone = plain[-1:] * len(ALONE_FRAMES["style"])
    else:
        instead = prompts_for(target.anchor, target.kind, companions) if companions else []
        alone = prompts_for(target.anchor, target.kind)
    found = zip(with_others, instead, strict=True)
    singles = zip(prompts_for(target.concept, target.kind), alone, strict=True)
    return [Pair(*both, name=target.concept) for both in (*found, *singles)]


def renamed(target: Target, companions: Sequence[str], *, frames: int) -> list[Pair]:
    """Prompts that name a target, each with the same prompt about its anchor in the target's place.

    frames: of TRAIN_FRAMES that each companion comes in, all of them in turn
    """
    kind, every = target.kind, len(TRAIN_FRAMES)
    found = zip(prompts_for(target.concept, kind), prompts_for(target.anchor, kind), strict=True)
    both = [Pair(*each) for each in found]
    for i, word in enumerate(companions):
        chosen = [TRAIN_FRAMES[(i * frames + j) % every] for j in range(frames)]
        named, instead = (
            prompts_for(name, kind, [word], frames=chosen)
            for name in (target.concept, target.anchor)
        )
        both += [Pair(*each) for each in zip(named, instead, strict=True)]
    return both


def wanted_pairs(request: Request) -> list[Pair]:
    """The pairs of all targets, each with the companions of its kind."""
    companions = request.companions
    return [
        replace(pair, which=which)
        for which, target in enumerate(request.targets)
        for pair in pairs(target, companions[OTHER[target.kind]])
    ]


def retained_pairs(request: Request) -> list[Pair]:
    """Prompts that must go on as they are; earlier targets with their anchors."""
    retain, companions = request.retain, request.companions
    groups = [_as_they_are(PLAIN)]
    for kind in KINDS:
        for concept in retain[kind]:
            groups.append(_as_they_are(prompts_for(concept, kind, companions[OTHER[kind]][::2])))
    for kind in KINDS:
        for companion in companions[kind]:
            groups.append(_as_they_are(prompts_for(companion, kind)))
    # what the prompts of earlier targets are completed with; few, where the request brings none
    company = {kind: companions[kind][::2] or retain[kind] for kind in KINDS}
    groups += [pairs(target, company[OTHER[target.kind]]) for target in request.earlier]
    kept = [replace(pair, which=which) for which, group in enumerate(groups) for pair in group]
    return [pair for pair in kept if not _names(pair.prompt, request.targets)]


def _as_they_are(prompts: Sequence[str]) -> list[Pair]:
    return [Pair(prompt, prompt) for prompt in prompts]


def held_out(concepts: Names, request: Request, *, most: int = MEASURED) -> list[str]:
    """Prompts that name concepts, and that nothing is built from; of very many, some at random.

    concepts: by kind, such as `request.wanted` or `request.retain`; most: prompts, 1 or more
    """
    prompts: list[str] = []
    for kind, names in concepts.items():
        others = request.companions[OTHER[kind]]
        for name in names:
            prompts += prompts_for(name, kind, others[1::2] or others, frames=HELD_OUT_FRAMES)
    some = sorted(Random(0).sample(range(len(prompts)), min(len(prompts), most)))
    return [prompts[i] for i in some]


def _names(prompt: str, targets: Sequence[Target]) -> bool:
    return any(is_named(target.concept, prompt) for target in targets)
