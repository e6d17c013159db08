"""The bank: all that does not change while an erasure trains, computed once and kept on disk.

Latents that the model itself draws for a prompt, noised to random timesteps, with the embeddings
that the student will read and the frozen teacher's predictions that it shall match. A training step
then costs one forward and one backward pass of the UNet.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ckptedit.concepts.prompts import Pair
from ckptedit.diffusion import Model, noises_for, sample_latents
from ckptedit.diffusion.moments import Moments
from ckptedit.files.cache import cached, digest
from ckptedit.progress import Track, silent

SAMPLING_STEPS = 12
VERSION = "1"  # of the recipe below; part of the cache's key


@torch.no_grad()
def bank(
    model: Model,
    pairs: Sequence[Pair],
    *,
    pictures: int,
    moments: int,
    seed: int,
    track: Track = silent,
) -> Moments:
    """Draws `pictures` of the pairs' anchors with the model, and `moments` of denoising of each.

    The pairs come in random order, all of them before one comes again. Kept on disk by the digest
    of the weights, the prompts, the numbers here and all else that the pictures depend on.
    """
    rng = torch.Generator().manual_seed(seed)
    rounds = -(-pictures // len(pairs))
    order = torch.cat([torch.randperm(len(pairs), generator=rng) for _ in range(rounds)])
    chosen = [pairs[int(i)] for i in order[:pictures]]

    def make() -> dict[str, np.ndarray]:
        noise = noises_for(model.latent_shape, noise_keys([pair.anchor for pair in chosen], seed))
        clean = sample_latents(
            model, [p.anchor for p in chosen], noise=noise, steps=SAMPLING_STEPS, track=track
        ).repeat_interleave(moments, 0)
        t = torch.randint(model.schedule.timesteps, (len(clean),), generator=rng)
        added = torch.randn(clean.shape, generator=rng)
        latents = model.schedule.add_noise(clean, added, t)
        made = {"latents": latents, "t": t, "aim": teach(model, chosen, latents, t, track)}
        return {name: tensor.numpy() for name, tensor in made.items()}

    words = [text for pair in chosen for text in (pair.prompt, pair.anchor)]
    numbers = [pictures, moments, seed, SAMPLING_STEPS]
    tokens = model.text.pad(words)[0].cpu().numpy()
    key = digest([VERSION, model.fingerprint(), str(numbers), *words, tokens])
    kept = cached("bank", key, make)
    found = {name: torch.from_numpy(array).to(model.device) for name, array in kept.items()}
    read = model.text.encode([pair.prompt for pair in chosen]).condition.repeat(moments)
    return Moments(found["latents"], found["t"], read, found["aim"])


def teach(model: Model, chosen: Sequence[Pair], latents: Tensor, t: Tensor, track: Track) -> Tensor:
    """The model's predictions under the anchors' prompts: [n, c, h, w] float32 on the CPU.

    latents, t: of all moments of the first pair, then of the second, and so on
    """
    told = model.text.encode([pair.anchor for pair in chosen]).condition
    told = told.repeat(len(t) // len(chosen))
    parts = list(
        zip(*(x.to(model.device).split(model.batch) for x in (latents, t, told)), strict=True)
    )
    with model.autocast():
        aim = [model.denoiser(*part).float().cpu() for part in track(parts, "teaching")]
    return torch.cat(aim)


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
