"""A step of training with the bank, against a step of the published loop: one model, one process.

The published loop (concept ablation, Kumari et al. 2023, as its code and those built on it run it)
encodes the pictures of a batch with the VAE, reads both prompts of each with the text encoder, asks
the UNet in training for the anchor's prediction, and then for the target's with gradients. With the
bank all but the last is there before the first step.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.timing import Bar

STEPS = 9  # of each loop in a run; the first warms up
BATCH = 16


def training(data: Path, runs: int, subset: bool) -> Iterator[str]:
    """Processor seconds per step on mini, one thread; medians over all runs, loops alternating."""
    import torch

    import ckptedit

    torch.set_num_threads(1)
    mini = data / "mini.safetensors"
    ckptedit.demo(mini, force=True)
    steps = {"published loop": published(mini), "ours, conabl": ours(mini, ())}
    steps["ours, conabl under gradproj:soft"] = ours(mini, ("gradproj:soft",))
    steps["ours, with distill, on twice as many"] = ours(mini, ("gradproj:soft", "distill"))
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(runs):
        for name, step in steps.items():
            spent[name] += [timed(step) for _ in range(STEPS)][1:]
    found = {name: median(times) for name, times in spent.items()}
    yield from (f"{name:<44} {1000 * seconds:8.0f} ms" for name, seconds in found.items())
    yield str(Bar("ours / published", found["ours, conabl"] / found["published loop"], 1 / 3))


def timed(step: Callable[[], None]) -> float:
    began = time.process_time()
    step()
    return time.process_time() - began


def ours(
    path: Path, guards: tuple[str, ...], *, batch: int = BATCH, device: str = "cpu"
) -> Callable[[], None]:
    """A step of `Training`, its banks filled."""
    from functools import partial

    from ckptedit.erasure import train, trained
    from ckptedit.erasure.options import Options
    from ckptedit.subspaces.words import Words

    request, model, lexicon, weights = asked(path, device)
    kept: list[Any] = []

    class Stopped(train.Training):
        """Does one step, and leaves the loop to this file."""

        def step(self, rate: float) -> None:
            super().step(rate)
            kept.append(self)

    original, train.Training = train.Training, Stopped  # type: ignore[misc]
    options = Options(guards=guards, steps=1, batch=batch, pictures=2)
    trained.Trained(options).solve(request, Words(model.text, lexicon), weights, model=model)
    train.Training = original  # type: ignore[misc]
    return partial(original.step, kept[0], 1e-4)


def published(
    path: Path, *, batch: int = BATCH, device: str = "cpu", precision: str = "auto"
) -> Callable[[], None]:
    """A step as released code computes it."""
    import torch
    from torch.nn.functional import mse_loss

    from ckptedit.diffusion import kv_parameters

    _, model, _, weights = asked(path, device, precision)
    vars(model)["narrow"] = False  # it is as wide as it computes
    parameters = list(kv_parameters(model.unet, list(weights)).values())
    model.unet.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    adam = torch.optim.AdamW(parameters, lr=8e-6)
    vae: Any = model.vae
    side = model.enlarged * model.latent_shape[1]
    pictures = torch.rand(batch, 3, side, side, device=device) * 2 - 1
    prompts = ["a boat in Van Gogh style"] * batch + ["a photo of a boat"] * batch

    def step() -> None:
        with torch.no_grad():
            clean = vae.encode(pictures).latent_dist.sample() * model.family.latent_scale
        t = torch.randint(1000, (batch,), device=device)
        latents = model.schedule.add_noise(clean, torch.randn_like(clean), t)
        with torch.no_grad(), model.autocast():
            read = model.text.encode(prompts).condition
            aim = model.denoiser(latents, t, read[batch:]).float()
        with model.autocast():
            seen = model.denoiser(latents, t, read[:batch]).float()
        mse_loss(seen, aim).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        adam.zero_grad()

    return step


def asked(path: Path, device: str = "cpu", precision: str = "auto") -> tuple[Any, Any, Any, Any]:
    """A request on a model: itself, a model of its own, the lexicon and the K/V weights."""
    from ckptedit.concepts.lexicon import lexicon_of
    from ckptedit.concepts.request import resolve
    from ckptedit.concepts.wish import Wish
    from ckptedit.diffusion import open_model
    from ckptedit.erasure.kv import KVWeights
    from ckptedit.files import Checkpoint

    model = open_model(
        Checkpoint(path), device=device, precision=precision, prediction="epsilon", training=True
    )
    wish = Wish(("Van Gogh",))
    request = resolve(wish, model.text, model.family, ())
    lexicon = lexicon_of(model.family)
    return request, model, lexicon, KVWeights(model.checkpoint, model.family)
