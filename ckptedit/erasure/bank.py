"""The bank: all that does not change while an erasure trains, computed once.

Latents that the model itself draws for a prompt, noised to random timesteps, with the embeddings
that the student will read and the frozen teacher's predictions that it shall match. A training step
then costs one forward and one backward pass of the UNet.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ckptedit.concepts.prompts import Pair
from ckptedit.diffusion import Model, noises_for, sample_latents
from ckptedit.progress import Track, silent

SAMPLING_STEPS = 12


@dataclass(frozen=True)
class Rows:
    """n moments of denoising and what the student should say at each.

    latents [n, c, h, w], t [n], text [n, L, d], aim [n, c, h, w]; all on one device
    """

    latents: Tensor
    t: Tensor
    text: Tensor
    aim: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def pick(self, size: int, rng: Generator) -> "Rows":
        """`size` of the rows at random (drawn on the CPU)."""
        chosen = torch.randint(len(self), (size,), generator=rng).to(self.t.device)
        return Rows(self.latents[chosen], self.t[chosen], self.text[chosen], self.aim[chosen])


@torch.no_grad()
def fill(
    model: Model,
    pairs: Sequence[Pair],
    *,
    pictures: int,
    moments: int,
    seed: int,
    track: Track = silent,
) -> Rows:
    """Draws `pictures` of the pairs' anchors with the model, and `moments` of denoising of each.

    The pairs come in random order, all of them before one comes again.
    """
    rng = torch.Generator().manual_seed(seed)
    rounds = -(-pictures // len(pairs))
    order = torch.cat([torch.randperm(len(pairs), generator=rng) for _ in range(rounds)])
    chosen = [pairs[int(i)] for i in order[:pictures]]
    noise = noises_for(model.latent_shape, noise_keys([pair.anchor for pair in chosen], seed))
    clean = sample_latents(
        model, [p.anchor for p in chosen], noise=noise, steps=SAMPLING_STEPS, track=track
    ).repeat_interleave(moments, 0)
    t = torch.randint(model.schedule.timesteps, (len(clean),), generator=rng)
    added = torch.randn(clean.shape, generator=rng)
    latents = model.schedule.add_noise(clean, added, t).to(model.device)
    read = model.text.encode([p.prompt for p in chosen]).hidden.repeat_interleave(moments, 0)
    told = model.text.encode([p.anchor for p in chosen]).hidden.repeat_interleave(moments, 0)
    t = t.to(model.device)
    parts = list(zip(*(x.split(model.batch) for x in (latents, t, told)), strict=True))
    aim = [model.denoiser(*part).float() for part in track(parts, "teaching")]
    return Rows(latents, t, read, torch.cat(aim))


def noise_keys(anchors: Sequence[str], seed: int) -> list[tuple[str | int, ...]]:
    """What the noise of each picture depends on: its anchor, the seed, and which of its kind it is.

    Not on what else is in the bank, so that two banks draw the same picture of the same anchor.
    """
    met: Counter[str] = Counter()
    keys: list[tuple[str | int, ...]] = []
    for anchor in anchors:
        keys.append((anchor, seed, met[anchor]))
        met[anchor] += 1
    return keys
