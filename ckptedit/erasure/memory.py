"""What an interrupted erasure can go on from: the state of its training, kept on disk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

import torch
from torch import Tensor

from ckptedit.diffusion.ranks import Ranks
from ckptedit.files import cache

SECONDS = 20.0  # of training between two times that the state is kept
PATIENCE = 20.0  # times as long as keeping it took, if that is more

State = Mapping[str, Tensor]


class Memory(Protocol):
    def recall(self) -> State | None:
        """The state of an interrupted training, if it is to go on."""

    def keep(self, state: Callable[[], State], *, last: bool) -> None:
        """Called after every step, `last` being the last one; asks for the state if it is time."""

    def forget(self) -> None:
        """The edit is written: nothing is left to go on from."""


class Forgetful:
    """Keeps nothing."""

    def recall(self) -> State | None:
        return None

    def keep(self, state: Callable[[], State], *, last: bool) -> None:
        pass

    def forget(self) -> None:
        pass


FORGETFUL = Forgetful()


@dataclass
class OnDisk:
    """Keeps the state in the cache folder.

    key:    digest of all that the training depends on
    resume: whether to go on from what is there; else it is written over
    """

    key: str
    resume: bool
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._next = monotonic() + SECONDS

    def recall(self) -> State | None:
        kept = cache.kept(NAME, self.key) if self.resume else None
        if kept is None:
            return None
        return {name: torch.from_numpy(array) for name, array in kept.items()}

    def keep(self, state: Callable[[], State], *, last: bool) -> None:
        if not last and monotonic() < self._next:
            return
        began = monotonic()
        cache.keep(NAME, self.key, {n: t.cpu().numpy() for n, t in state().items()})
        took = monotonic() - began
        self._next = monotonic() + max(SECONDS, PATIENCE * took)

    def forget(self) -> None:
        cache.drop(NAME, self.key)


@dataclass(frozen=True)
class OfFirst:
    """What the first of several processes remembers, for all of them: their states are one."""

    own: Memory
    ranks: Ranks

    def recall(self) -> State | None:
        return self.ranks.same(self.own.recall)

    def keep(self, state: Callable[[], State], *, last: bool) -> None:
        if self.ranks.first:
            self.own.keep(state, last=last)

    def forget(self) -> None:
        if self.ranks.first:
            self.own.forget()


NAME = "training"
