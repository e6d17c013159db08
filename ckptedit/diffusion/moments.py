"""Moments of denoising: what a training step shows to the model, and what it should see there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from ckptedit.text.condition import Condition

EMPTY, OWN = "empty", "own"  # views


class Want(NamedTuple):
    """Which moments a training asks for.

    of:     prompts of the targets, each with its anchor's, or retained ones, which are their own
            anchors (earlier targets but for)
    states: what is noised: pictures that the model draws for the anchor's prompt or for the
            prompt's "own", each at random timesteps; "path": points of the solver's way to the
            latter, which no noise was added to
    views:  what the frozen model is asked beside the anchor's prompt: OWN, EMPTY
    """

    of: Literal["targets", "retained"]
    states: Literal["anchor", "own", "path"] = "anchor"
    views: tuple[str, ...] = ()


TARGETS, RETAINED = Want("targets"), Want("retained")


@dataclass(frozen=True)
class Moments:
    """n noised latents, and the noise that a frozen model sees in each.

    latents [n, c, h, w]; t [n] in 0..999; text: of the n prompts that the student reads;
    aim [n, c, h, w] float32: the frozen model's prediction under the prompt that the student's
    should be drawn as, its anchor's; told: that prompt;
    noise [n, c, h, w]: what is in the latents, so that latents = sqrt(a) clean + sqrt(1 - a) noise;
    which [n]: the target or retained concept that a prompt is of, counted from 0;
    named bool [n, L]: where in the text the name of a target stands;
    views: OWN, EMPTY -> the frozen model's prediction under the prompt itself, and under none.
    All on one device; of a bank, parts are put on another, `home`, when they are taken out of it.
    """

    latents: Tensor
    t: Tensor
    text: Condition
    aim: Tensor
    told: Condition
    noise: Tensor
    which: Tensor
    named: Tensor
    views: Mapping[str, Tensor] = field(default_factory=dict)
    home: torch.device | None = None

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, rows: Tensor) -> "Moments":
        home = self.home or self.t.device

        def taken(tensor: Tensor) -> Tensor:
            return tensor[rows].to(home, non_blocking=True)

        return Moments(
            taken(self.latents),
            taken(self.t),
            self.text[rows].to(home),
            taken(self.aim),
            self.told[rows].to(home),
            taken(self.noise),
            taken(self.which),
            taken(self.named),
            {name: taken(view) for name, view in self.views.items()},
        )

    def split(self, size: int) -> "list[Moments]":
        """Parts of at most `size`, in order."""
        return [self[rows] for rows in torch.arange(len(self), device=self.t.device).split(size)]

    def stored(self, home: torch.device) -> "Moments":
        """The same on the host, from where parts go to a device as they are wanted; for a GPU in
        memory that its transfers need not wait for."""

        def kept(tensor: Tensor) -> Tensor:
            tensor = tensor.cpu()
            return tensor.pin_memory() if home.type == "cuda" else tensor

        return Moments(
            kept(self.latents),
            kept(self.t),
            self.text.to("cpu"),
            kept(self.aim),
            self.told.to("cpu"),
            kept(self.noise),
            kept(self.which),
            kept(self.named),
            {name: kept(view) for name, view in self.views.items()},
            home,
        )

    def pick(self, size: int, rng: Generator) -> "Moments":
        """`size` of them at random (drawn on the CPU)."""
        return self[torch.randint(len(self), (size,), generator=rng).to(self.t.device)]

    def pick_evenly(self, size: int, rng: Generator) -> "Moments":
        """`size` of them at random, each target or concept as likely as any other."""
        which = self.which.cpu()
        chances = 1 / torch.bincount(which)[which]
        rows = torch.multinomial(chances, size, replacement=True, generator=rng)
        return self[rows.to(self.t.device)]

    def as_told(self) -> "Moments":
        """The same, for a student that reads what was told: the anchors' prompts."""
        return replace(self, text=self.told)
