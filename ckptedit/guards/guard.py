"""The moments at which a guard can act on training, and what it is told before it starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Parameter

from ckptedit.diffusion.moments import Moments, Want
from ckptedit.diffusion.schedule import Schedule
from ckptedit.errors import BadParam

SAME = 1e-5  # sine of the angle up to which a direction counts as inside a subspace


@dataclass(frozen=True)
class Reading:
    """A request as the K/V weights read it: token embeddings, and no picture.

    kind:    of what is to be erased, "style", "object" or "mixed"
    target:  [n, L, d], of prompts that name what is to be erased
    retain:  [m, L, d], of prompts that name what must stay (m may be 0), earlier targets included
    keep:    positions whose embeddings count, bool [m, L] for `retain`: all, or the concepts' words
    anchors: [a, L, d], of prompts that name what the targets are drawn as instead
    general: [d, d], second moment of the tokens of the whole vocabulary and lexicon
    named:   where `anchors` have the anchor's own name, bool [a, L]; None: anywhere
    """

    kind: str
    target: Tensor
    retain: Tensor
    keep: Tensor
    anchors: Tensor
    general: Callable[[], Tensor]
    named: Tensor | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Setting(Reading):
    """What is known before the first step of a training: the reading, and the model.

    weights:  name -> the live parameter [out, d] in training, float32, as it was before the edit
    moments:  what a Want asks for; filled when first asked, by the model before the edit
    student:  moments -> the noise that the model in training sees in them, [b, c, h, w] float32
    looks:    moments -> where each of its layers looks in the text: [b, heads, pixels, L], chances
    schedule: of the noise in the moments
    batch:    moments of a sort that a step takes
    steps:    of the training
    free:     F [d, m], orthonormal columns: where no guard forbids an edit; None: anywhere
    original: name -> W [out, d] before all edits, float32 on the CPU, read when asked for; given to
              those who need it
    concepts: names of the targets, in order, for reports
    """

    weights: Mapping[str, Parameter]
    moments: Callable[[Want], Moments]
    student: Callable[[Moments], Tensor]
    looks: Callable[[Moments], Sequence[Tensor]]
    schedule: Schedule
    batch: int
    steps: int
    free: Tensor | None = None
    original: Mapping[str, Tensor] | None = None
    concepts: Sequence[str] = ()


class Stage:
    """What an objective and a guard have in common: they look on while a training goes its way.

    asks:  what of a Setting it calls in `start`, "general" or what it asks `moments` for, so that a
           plan of the work can be shown
    masks: whether it masks single entries in most rows of W, so that a few directions leave none
    """

    asks: tuple[str | Want, ...] = ()
    masks: bool = False

    def mask(self) -> Mapping[str, Tensor] | None:
        """Which entries of which weights may move: name -> bool [out, d]; None: all of all.

        Asked after `start` and after every step. An entry that no longer may keeps its value.
        """
        return None

    def after_backward(self) -> None:
        """The gradients are there, unmasked and unconfined, and may be changed."""

    def after_step(self) -> None:
        """The weights have moved and may be changed."""

    def warnings(self) -> Sequence[str]:
        """What is likely to disappoint the user, after the last step, a sentence each."""
        return ()

    def notes(self) -> Sequence[str]:
        """What else the user may want to know by then, a sentence each."""
        return ()

    def state(self) -> dict[str, Tensor]:
        """What must be kept so that an interrupted training can go on."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what `state` returned, after `start`."""


class Guard(Stage):
    """Does nothing at any of these moments; guards override those they need.

    exact:     whether what it holds stays as it was but for rounding, whatever the steps are; else
               it only makes it less likely to move
    idle:      the hyperparameter at which it changes nothing, not a bit: "weight=0"; "": none
    more_room: what a user can do where the guard leaves the target too little to be edited
    narrow:    whether it leaves W only a few directions, fewer than a mask needs
    """

    exact: ClassVar[bool] = False
    idle: ClassVar[str] = ""
    more_room: ClassVar[str] = ""
    needs_original: bool = False
    narrow: ClassVar[bool] = False

    def forbids(self, reading: Reading) -> Tensor | None:
        """What no edit may touch, whoever else chooses directions: [r, d], orthonormal rows.

        Called first of all; what no guard forbids is `free` of the setting.
        """
        return None

    def start(self, setting: Setting) -> Tensor | None:
        """Called once before the loop.

        returns: [d, k] with orthonormal columns if W may only move as A Qᵀ; None if anywhere
        """
        return None

    def outputs(self) -> Mapping[str, Tensor]:
        """Where no step may write: name -> U [out, r], orthonormal columns, so that Uᵀ ΔW = 0.

        Asked once, after `start`.
        """
        return {}

    def penalty(self, rng: Generator) -> Tensor | None:
        """A scalar to add to the loss of a step."""
        return None


def complement(forbidden: Sequence[Tensor]) -> Tensor | None:
    """What is at right angles to all rows [r_i, d]: [d, m] on the CPU; None if there are no rows.

    Raises BadParam if nothing is left.
    """
    if not forbidden:
        return None
    rows = torch.cat([each.cpu().double() for each in forbidden])
    _, sizes, right = torch.linalg.svd(rows, full_matrices=True)
    rank = int((sizes > SAME).sum())
    if rank == right.shape[1]:
        raise BadParam("the guards protect all dimensions of the text: no edit is left")
    return right[rank:].mT.float()


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
