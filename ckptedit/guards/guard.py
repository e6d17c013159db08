"""The four moments at which a guard can act on training, and what it is told before it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import Parameter


@dataclass(frozen=True)
class Setting:
    """What is known before the first step.

    target:  [n, L, d], token embeddings of prompts that name what is to be erased
    retain:  [m, L, d], of prompts that name what must stay (m may be 0), earlier targets included
    keep:    positions whose embeddings count, bool [m, L] for `retain`: all, or the concepts' words
    general: [d, d], second moment of the tokens of the whole vocabulary and lexicon
    rehearse: a batch of retained prompts -> mean squared distance to the frozen teacher, a scalar
    """

    target: Tensor
    retain: Tensor
    keep: Tensor
    general: Callable[[], Tensor]
    rehearse: Callable[[Generator], Tensor]


class Guard:
    """Does nothing at any of the four moments; guards override those they need."""

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

    def after_step(self) -> None:
        """The weights have moved and may be changed."""


def confine(directions: list[Tensor]) -> Tensor | None:
    """The directions that all of the [d, k_i] allow, as [d, k]; None if there is no restriction."""
    if not directions:
        return None
    allowed = directions[0]
    for other in directions[1:]:
        # directions of `allowed` whose projection on `other` keeps its length
        left, cosines, _ = torch.linalg.svd(allowed.T @ other, full_matrices=False)
        allowed = allowed @ left[:, cosines > 1 - 1e-4]
    return allowed
