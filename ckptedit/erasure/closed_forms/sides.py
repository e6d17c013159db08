"""What closed forms start from: the embeddings of a request's targets, anchors, and what stays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from ckptedit.concepts.neighbors import mentions
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import HELD_OUT_FRAMES, OTHER, prompts_for
from ckptedit.subspaces.paired import beside
from ckptedit.subspaces.words import Words
from ckptedit.text.encoder import BATCH, TextEncoder

Read = Annotated[
    Literal["name", "sentences"], "whether names are read alone, or in sentences with companions"
]
Positions = Annotated[
    Literal["last", "concept", "all"],
    "which tokens: a name's last one, all of its own, or all from its first to the end of padding",
]
Stay = Annotated[
    Literal["request", "lexicon"],
    "which names must stay: those of the request, or the whole lexicon's as well",
]
HELD_OUT = "held out"
Embed = Callable[[Tensor], Tensor]  # token numbers [n, L] -> what the weights read there [n, L, d]


@dataclass(frozen=True)
class Where:
    """Where the embeddings of a request are read: see Read, Positions, Stay.

    HELD_OUT for `read` is what nothing is built from: sentences to measure on.
    """

    read: str = "name"
    positions: str = "last"
    stay: str = "request"


@dataclass(frozen=True)
class Sides:
    """Rows of what is read of a request, float64 on the CPU.

    A name read in one place is one row. One that is read in k places is k rows, each divided by √k,
    so that every name weighs the same in sums of squares.

    targets: C [n, d], of what goes; anchors: C* [n, d], what stands in for each
    stay:    C0 [m, d]
    names:   the target of each row of C
    """

    targets: Tensor
    anchors: Tensor
    stay: Tensor
    names: tuple[str, ...]

    @property
    def shift(self) -> Tensor:
        """C* - C [n, d]"""
        return self.anchors - self.targets


def sides(request: Request, words: Words, where: Where, *, embed: Embed | None = None) -> Sides:
    """Reads a request: its targets and earlier ones, their anchors, and what must stay.

    embed: default: the token embeddings that K/V weights read
    """
    goals = [*request.targets, *request.earlier]
    kept = _staying(request, words, where.stay)
    places = _Places(words.encoder, where.positions)
    said = [(name, goal.kind) for goal in goals for name in (goal.concept, goal.anchor)] + kept
    prompts = [(name, _prompts(name, kind, request, where.read)) for name, kind in said]
    hidden = _embedded([each for _, each in prompts], places, embed or words.encoder.encode_ids)
    targets, anchors, names = [], [], []
    for goal, (_, asked), (_, instead) in zip(goals, prompts[::2], prompts[1::2], strict=False):
        mine, theirs = places.paired(goal, asked, instead)
        targets.append(_picked(next(hidden), mine))
        anchors.append(_picked(next(hidden), theirs))
        names += [goal.concept] * len(targets[-1])
    rest = [
        _picked(rows, [places.of(prompt, name) for prompt in asked])
        for rows, (name, asked) in zip(hidden, prompts[2 * len(goals) :], strict=True)
    ]
    joined = torch.cat(targets)
    return Sides(joined, torch.cat(anchors), torch.cat(rest or [joined[:0]]), tuple(names))


def _staying(request: Request, words: Words, stay: str) -> list[tuple[str, str]]:
    """Names and their kinds; those of the lexicon without what names a target, now or earlier."""
    asked = (request.retain, request.companions)
    found = {name: kind for names in asked for kind in names for name in names[kind]}
    if stay == "lexicon":
        gone = [goal.concept for goal in (*request.targets, *request.earlier)]
        for kind in OTHER:
            for name in filter(words.encoder.fits, words.lexicon[kind]):
                if not any(mentions(words.encoder, name, each) for each in gone):
                    found.setdefault(name, kind)
    return list(found.items())


def _prompts(name: str, kind: str, request: Request, read: str) -> list[str]:
    if read == "name":
        return [name]
    others = request.companions[OTHER[kind]]
    if read == HELD_OUT:
        return prompts_for(name, kind, others[1::2] or others, frames=HELD_OUT_FRAMES)
    return [*(prompts_for(name, kind, others) if others else []), *prompts_for(name, kind)]


@dataclass(frozen=True)
class _Places:
    """Where in a prompt a name is read."""

    encoder: TextEncoder
    positions: str

    def of(self, prompt: str, name: str) -> Tensor:
        own = self.encoder.positions(prompt, name)
        if self.positions == "all":
            return torch.arange(own[0], self.encoder.reach(prompt))
        return torch.tensor(own if self.positions == "concept" else own[-1:])

    def paired(
        self, goal: Target, asked: Sequence[str], instead: Sequence[str]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Places of a target, and of its anchor in the same sentences."""
        lengths, others = (self.encoder.pad(prompts)[1].cpu() for prompts in (asked, instead))
        mine = [self.of(prompt, goal.concept) for prompt in asked]
        first = [torch.tensor(self.encoder.positions(each, goal.concept)[0]) for each in asked]
        last = self.encoder.max_length - 1
        theirs = [
            beside(place, later, first=start, last=last)
            for place, later, start in zip(mine, others - lengths, first, strict=True)
        ]
        return mine, theirs


def _embedded(prompts: Sequence[Sequence[str]], places: _Places, embed: Embed) -> Iterator[Tensor]:
    """What is read of each list of prompts, [k, L, d]; several lists at a time, up to BATCH."""
    encoder, queue = places.encoder, list(prompts)
    while queue:
        taken = [queue.pop(0)]
        while queue and sum(map(len, taken)) + len(queue[0]) <= BATCH:
            taken.append(queue.pop(0))
        ids, lengths = encoder.pad([prompt for each in taken for prompt in each])
        seen = ids if places.positions == "all" else ids[:, : int(lengths.max())]
        yield from embed(seen).double().cpu().split([len(each) for each in taken])


def _picked(hidden: Tensor, places: Sequence[Tensor]) -> Tensor:
    """The rows at these places of each prompt, even: [k, d]"""
    joined = torch.cat([row[place] for row, place in zip(hidden, places, strict=True)])
    return joined / len(joined) ** 0.5
