"""The bank: all that does not change while an erasure trains, computed once and kept on disk.

Latents that the model itself draws for a prompt, noised to random timesteps, with the embeddings
that the student will read and the frozen model's predictions that it shall match. A training step
then costs one forward and one backward pass of the UNet.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from ckptedit.concepts.prompts import Pair
from ckptedit.diffusion import Model, noises_for, sample_latents
from ckptedit.diffusion.moments import EMPTY, TARGETS, Moments, Want
from ckptedit.errors import BadParam
from ckptedit.files.cache import cached, digest
from ckptedit.progress import Track, silent
from ckptedit.text.encoder import TextEncoder

SAMPLING_STEPS = 12
PATH_GUIDANCE = 3.0  # of the way to a picture, as Gandikota et al. 2023 draw it
VERSION = "2"  # of the recipe below; part of the cache's key

States = Mapping[str, Tensor]  # "latents", "t" and "noise" of a bank


@torch.no_grad()
def bank(
    model: Model,
    pairs: Sequence[Pair],
    *,
    want: Want = TARGETS,
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
    prompts, anchors = [pair.prompt for pair in chosen], [pair.anchor for pair in chosen]
    drawn = anchors if want.states == "anchor" else prompts
    if want.states == "path":
        moments = min(moments, SAMPLING_STEPS)

    def make() -> States:
        if want.states == "path":
            return along_the_path(model, drawn, moments=moments, seed=seed, track=track)
        return noised(model, drawn, moments=moments, seed=seed, rng=rng, track=track)

    numbers = str([VERSION, want.states, pictures, moments, seed, SAMPLING_STEPS])
    states = _kept(model, [numbers, *drawn], make)

    def seen(told: Sequence[str]) -> Tensor:
        def ask() -> States:
            return {"aim": teach(model, told, states["latents"], states["t"], track)}

        return _kept(model, [numbers, *drawn, "", *told], ask)["aim"]

    views = {view: seen([""] * len(chosen) if view == EMPTY else prompts) for view in want.views}
    which = torch.tensor([pair.which for pair in chosen]).repeat_interleave(moments)
    return Moments(
        states["latents"],
        states["t"],
        model.text.encode(prompts).condition.to("cpu").repeat(moments),
        seen(anchors),
        model.text.encode(anchors).condition.to("cpu").repeat(moments),
        states["noise"],
        which,
        where_named(model.text, chosen).repeat_interleave(moments, 0),
        views,
    ).stored(model.device)


def where_named(encoder: TextEncoder, pairs: Sequence[Pair]) -> Tensor:
    """Where a pair's name stands in its prompt: bool [n, L]; nowhere, if it is not there."""
    found = torch.zeros(len(pairs), encoder.max_length, dtype=torch.bool)
    for row, pair in zip(found, pairs, strict=True):
        with suppress(BadParam):
            row[encoder.positions(pair.prompt, pair.name)] = True
    return found


def _kept(model: Model, words: Sequence[str], make: Callable[[], States]) -> States:
    """What `make` returns, or what it returned before; on the CPU."""

    def arrays() -> dict[str, np.ndarray]:
        return {name: tensor.cpu().numpy() for name, tensor in make().items()}

    tokens = model.text.pad(list(words[1:]))[0].cpu().numpy()
    kept = cached("bank", digest([model.fingerprint(), *words, tokens]), arrays)
    return {name: torch.from_numpy(array) for name, array in kept.items()}


def noised(
    model: Model,
    prompts: Sequence[str],
    *,
    moments: int,
    seed: int,
    rng: torch.Generator,
    track: Track,
) -> States:
    """Pictures of the prompts, each noised to `moments` random timesteps."""
    start = noises_for(model.latent_shape, noise_keys(prompts, seed))
    clean = sample_latents(model, prompts, noise=start, steps=SAMPLING_STEPS, track=track)
    clean = clean.repeat_interleave(moments, 0)
    t = torch.randint(model.schedule.timesteps, (len(clean),), generator=rng)
    noise = torch.randn(clean.shape, generator=rng)
    return {"latents": model.schedule.add_noise(clean, noise, t), "t": t, "noise": noise}


def along_the_path(
    model: Model, prompts: Sequence[str], *, moments: int, seed: int, track: Track
) -> States:
    """What the solver's steps start from on their way to pictures, `moments` of them evenly spread.

    The noise is what parts a state from the picture at the end of its own path.
    """
    met: dict[int, list[Tensor]] = {}

    def watch(t: int, latents: Tensor) -> None:
        met.setdefault(t, []).append(latents.float().cpu())

    start = noises_for(model.latent_shape, noise_keys(prompts, seed))
    clean = sample_latents(
        model,
        prompts,
        noise=start,
        steps=SAMPLING_STEPS,
        guidance=PATH_GUIDANCE,
        watch=watch,
        track=track,
    )
    steps = sorted(met, reverse=True)
    steps = [steps[len(steps) * i // moments] for i in range(moments)]
    latents = torch.stack([torch.cat(met[t]) for t in steps], dim=1).flatten(0, 1)
    t = torch.tensor(steps).repeat(len(prompts))
    signal, spread = model.schedule.weights(t, latents)
    noise = (latents - signal * clean.repeat_interleave(moments, 0)) / spread
    return {"latents": latents, "t": t, "noise": noise}


def teach(model: Model, told: Sequence[str], latents: Tensor, t: Tensor, track: Track) -> Tensor:
    """The model's predictions under some prompts: [n, c, h, w] float32 on the CPU.

    latents, t: of all moments of the first prompt, then of the second, and so on
    """
    read = model.text.encode(told).condition.to("cpu").repeat(len(t) // len(told))
    parts = list(zip(*(x.split(model.batch) for x in (latents, t, read)), strict=True))
    aim = []
    with model.autocast():
        for latent, time, text in track(parts, "teaching"):
            given = (latent.to(model.device), time.to(model.device), text.to(model.device))
            aim.append(model.denoiser(*given).float().cpu())
    return torch.cat(aim)


def noise_keys(prompts: Sequence[str], seed: int) -> list[tuple[str | int, ...]]:
    """What the noise of each picture depends on: its prompt, the seed, and which of its kind it is.

    Not on what else is in the bank, so that two banks draw the same picture of the same prompt.
    """
    met: Counter[str] = Counter()
    keys: list[tuple[str | int, ...]] = []
    for prompt in prompts:
        keys.append((prompt, seed, met[prompt]))
        met[prompt] += 1
    return keys
