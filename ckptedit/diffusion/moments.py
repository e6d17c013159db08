"""Moments of denoising: what a training step shows to the model, and what it should see there."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ckptedit.text.condition import Condition


@dataclass(frozen=True)
class Moments:
    """n noised latents, and the noise that a frozen model sees in each.

    latents [n, c, h, w]; t [n] in 0..999; text: of the n prompts that the student reads;
    aim [n, c, h, w] float32: the frozen model's prediction under the prompt that the student's
    should be drawn as. All on one device.
    """

    latents: Tensor
    t: Tensor
    text: Condition
    aim: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def pick(self, size: int, rng: Generator) -> "Moments":
        """`size` of them at random (drawn on the CPU)."""
        chosen = torch.randint(len(self), (size,), generator=rng).to(self.t.device)
        return Moments(self.latents[chosen], self.t[chosen], self.text[chosen], self.aim[chosen])
