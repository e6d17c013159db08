"""Prompts and noise to pictures, in batches, with classifier-free guidance."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ckptedit.diffusion.denoiser import Denoiser
from ckptedit.diffusion.model import Model, open_model
from ckptedit.diffusion.noise import noises_for
from ckptedit.errors import BadParam
from ckptedit.families.own import RESCALED
from ckptedit.files import Checkpoint
from ckptedit.progress import Track, silent
from ckptedit.text.condition import Condition

# of the latents that the VAE decodes at once: 2 of SD1 or 32 of mini. Its widest layers hold 128
# numbers for each of a picture's pixels, 64 to a latent's one: 0.3 GB for a picture of SD1.
DECODED_PIXELS = 2 * 64 * 64

USED = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type",
        RESCALED)  # of a schedule's config  # fmt: skip

Watch = Callable[[int, Tensor], None]  # a timestep and the latents there, [b, c, h, w]


def sample(
    model: Model | Checkpoint | str | Path,
    prompts: str | Sequence[str],
    *,
    noise: Tensor | None = None,
    steps: int = 20,
    guidance: float | None = None,
    track: Track = silent,
) -> np.ndarray:
    """Draws one picture per prompt.

    model:    as `open_model` returns it, or a checkpoint, opened or its path
    noise:    [n, c, h, w], the latents to start from; default: noise_for(shape, prompt, 0)
    steps:    solver steps, 1 or more; 20 are plenty for this solver
    guidance: of classifier-free guidance, 1 is none; default: the family's
    returns:  [n, height, width, 3] uint8
    """
    if not isinstance(model, Model):
        model = open_model(model)
    prompts = [prompts] if isinstance(prompts, str) else prompts
    latents = sample_latents(
        model, prompts, noise=noise, steps=steps, guidance=guidance, track=track
    )
    return (decode(model, latents) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


@torch.no_grad()
def sample_latents(
    model: Model,
    prompts: Sequence[str],
    *,
    noise: Tensor | None = None,
    steps: int = 20,
    guidance: float | None = None,
    watch: Watch | None = None,
    track: Track = silent,
) -> Tensor:
    """As `sample`, but returns latents [n, c, h, w], float32 on the CPU, as the UNet has them.

    watch: is shown what each step of the solver starts from, batch after batch
    """
    if not prompts:
        raise BadParam("no prompts to sample")
    if noise is None:
        noise = noises_for(model.latent_shape, [(prompt, 0) for prompt in prompts])
    scale = model.family.guidance if guidance is None else guidance
    _check(prompts, noise, steps=steps, shape=model.latent_shape)
    distinct = list(dict.fromkeys(prompts))
    read = model.text.encode(["", *distinct]).condition
    rows = torch.tensor([distinct.index(prompt) + 1 for prompt in prompts])
    done = []
    batches = list(zip(rows.split(model.batch), noise.split(model.batch), strict=True))
    for row, start in track(batches, "sampling"):
        empty, text = read[:1].repeat(len(row)), read[row.to(model.device)]
        with model.autocast():
            end = solve(model.denoiser, start.to(model.device), empty, text, steps, scale, watch)
        done.append(end.cpu())
    return torch.cat(done)


def solve(
    denoiser: Denoiser,
    latents: Tensor,
    empty: Condition,
    text: Condition,
    steps: int,
    guidance: float,
    watch: Watch | None = None,
) -> Tensor:
    """Integrates noise [b, c, h, w] to latents by DPM-Solver++(2M).

    empty, text: the empty prompt and the prompts, b times each

    Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095, algorithm 2, as in diffusers.
    Guidance: Ho & Salimans, 2022, https://arxiv.org/abs/2207.12598, in the form of imagen's w,
    empty + w (prompt - empty).
    """
    solver = _solver(denoiser, steps)
    both = Condition.join([empty, text]) if guidance != 1 else text
    latents = latents * solver.init_noise_sigma
    for t in solver.timesteps:
        if watch:
            watch(int(t), latents)
        doubled = torch.cat([latents, latents]) if guidance != 1 else latents
        seen = denoiser.output(doubled, t.expand(len(doubled)).to(latents.device), both).float()
        if guidance != 1:
            without, with_prompt = seen.chunk(2)
            seen = without + guidance * (with_prompt - without)
        latents = solver.step(seen, t, latents, return_dict=False)[0]
    return latents


@torch.no_grad()
def decode(model: Model, latents: Tensor) -> Tensor:
    """Latents [b, c, h, w] as the UNet has them -> pictures [b, 3, height, width] in 0..1, CPU."""
    vae: Any = model.vae
    at_once = max(1, DECODED_PIXELS // (latents.shape[2] * latents.shape[3]))
    done = []
    for part in (latents / model.family.latent_scale).split(at_once):
        pictures = vae.decode(part.to(model.device), return_dict=False)[0]
        done.append((pictures / 2 + 0.5).clamp(0, 1).cpu())
    return torch.cat(done)


def _solver(denoiser: Denoiser, steps: int) -> Any:
    from diffusers import DPMSolverMultistepScheduler

    # timesteps are spread evenly from the last one to the first, whatever its own solver does
    config = {name: x for name, x in denoiser.schedule.config.items() if name in USED}
    solver = DPMSolverMultistepScheduler.from_config(config)
    solver.set_timesteps(steps)
    return solver


def _check(
    prompts: Sequence[str], noise: Tensor, *, steps: int, shape: tuple[int, int, int]
) -> None:
    if steps < 1:
        raise BadParam(f"steps must be 1 or more, not {steps}")
    if noise.shape[0] != len(prompts) or noise.shape[1] != shape[0]:
        wanted = [len(prompts), *shape]
        raise BadParam(f"need noise {wanted} for these prompts, got {list(noise.shape)}")
