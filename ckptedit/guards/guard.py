"""The four moments at which a guard can act on training, and what it is told before it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Parameter

from ckptedit.diffusion.moments import Moments
from ckptedit.errors import BadParam

SAME = 1e-5  # sine of the angle up to which a direction counts as inside a subspace


@dataclass(frozen=True)
class Reading:
    """A request as the K/V weights read it: token embeddings, and no picture.

    kind:    of what is to be erased, "style", "object" or "mixed"
    target:  [n, L, d], of prompts that name what is to be erased
    retain:  [m, L, d], of prompts that name what must stay (m may be 0), earlier targets included
    keep:    positions whose embeddings count, bool [m, L] for `retain`: all, or the concepts' words
    general: [d, d], second moment of the tokens of the whole vocabulary and lexicon
    """

    kind: str
    target: Tensor
    retain: Tensor
    keep: Tensor
    general: Callable[[], Tensor]


@dataclass(frozen=True)
class Setting(Reading):
    """What is known before the first step of a training: the reading, and the model.

    targets:  moments of the targets' prompts, to be drawn as their anchors; filled when first asked
    retained: moments of prompts to be drawn as before, earlier targets as their anchors; the same
    student:  moments -> the noise that the model in training sees in them, [b, c, h, w] float32
    batch:    moments of a sort that a step takes
    """

    targets: Callable[[], Moments]
    retained: Callable[[], Moments]
    student: Callable[[Moments], Tensor]
    batch: int


class Stage:
    """What an objective and a guard have in common: they look on while a training goes its way.

    asks: what of a Setting it calls in `start`, so that a plan of the work can be shown
    """

    asks: ClassVar[tuple[str, ...]] = ()

    def after_step(self) -> None:
        """The weights have moved and may be changed."""

    def state(self) -> dict[str, Tensor]:
        """What must be kept so that an interrupted training can go on."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what `state` returned, after `start`."""


class Guard(Stage):
    """Does nothing at any of the four moments; guards override those they need.

    more_room: what a user can do where the guard leaves the target too little to be edited
    """

    more_room: ClassVar[str] = ""

    def start(self, weights: Mapping[str, Parameter], setting: Setting) -> Tensor | None:
        """Called once before the loop.

        returns: [d, k] with orthonormal columns if W may only move as A Qᵀ; None if anywhere
        """
        return None

    def penalty(self, rng: Generator) -> Tensor | None:
        """A scalar to add to the loss of a step."""
        return None

    def after_backward(self) -> None:
        """The gradients are there and may be changed."""


def confine(directions: list[Tensor]) -> Tensor | None:
    """The directions that all of the [d, k_i] allow, as [d, k] on the CPU; None if all are free.

    Raises BadParam if they have none in common: then there is nothing to train.
    """
    if not directions:
        return None
    # float64 from orthonormal columns, so that a cosine tells angles down to SAME apart from zero
    allowed, *others = (torch.linalg.qr(each.cpu().double()).Q for each in directions)
    for other in others:
        left, cosines, _ = torch.linalg.svd(allowed.T @ other, full_matrices=False)
        allowed = allowed @ left[:, cosines.square() > 1 - SAME**2]
    if not allowed.shape[1]:
        raise BadParam("the guards leave no direction in common for the edit; use fewer of them")
    return allowed.float()
