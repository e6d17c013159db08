"""Trains each part of mini on a pool of pictures. Every function resumes from its state file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, mse_loss

from ckptedit.canvas.captions import caption
from ckptedit.canvas.draw import OBJECTS, PHOTO, STYLES, Scene
from ckptedit.canvas.loop import train
from ckptedit.canvas.pool import ALL_STYLES, Pool, as_input, labels
from ckptedit.evaluation.judge import Judge
from ckptedit.families.mini import FOLDER, MINI
from ckptedit.progress import Track, silent

FAMILY_OF = {**STYLES, PHOTO: "photo"}


def config(part: str) -> dict[str, Any]:
    """The shipped configuration of one part of mini."""
    return json.loads((FOLDER / part / "config.json").read_text())


def train_judge(
    pool: Pool, state: Path, *, steps: int = 1500, device: str = "cpu", track: Track = silent
) -> nn.Module:
    """A classifier of style and object that has never seen a generated picture."""
    torch.manual_seed(1)
    judge = Judge(len(ALL_STYLES), len(OBJECTS)).to(device)

    def loss_at(rng: Generator) -> Tensor:
        pictures, scenes = pool.batch(rng, 64)
        pictures = pictures + torch.randn(pictures.shape, generator=rng) * 0.05
        style, thing = judge(pictures.to(device))
        true_style, true_thing = labels(scenes)
        return cross_entropy(style, true_style.to(device)) + cross_entropy(
            thing, true_thing.to(device)
        )

    return train(judge, loss_at, state, steps=steps, lr=3e-3, track=track)


def train_vae(
    pool: Pool, state: Path, *, steps: int = 1500, device: str = "cpu", track: Track = silent
) -> nn.Module:
    """An autoencoder 64 x 64 x 3 -> 16 x 16 x 4, its latents scaled as SD1's are."""
    torch.manual_seed(2)
    vae = AutoencoderKL.from_config(config("vae")).to(device)

    def loss_at(rng: Generator) -> Tensor:
        pictures = pool.batch(rng, 16)[0].to(device)
        with torch.autocast(device, dtype=torch.bfloat16):
            posterior = vae.encode(pictures).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=rng).to(device)
            decoded = vae.decode(posterior.mean + posterior.std * noise).sample.float()
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        return l1_loss(decoded, pictures) + mse_loss(decoded, pictures) + 1e-3 * kl

    return train(vae, loss_at, state, steps=steps, lr=2e-3, average=0.99, track=track)


def normalise(vae: Any, pool: Pool, scale: float) -> None:
    """Folds a factor into the VAE so that latents times `scale` have unit variance, in place."""
    pictures = pool.batch(torch.Generator().manual_seed(0), 256)[0]
    with torch.no_grad():
        spread = vae.encode(pictures).latent_dist.mean.std() * scale
        channels = vae.config.latent_channels
        vae.quant_conv.weight /= spread
        vae.quant_conv.bias[:channels] /= spread
        vae.quant_conv.weight[channels:] *= spread
        vae.quant_conv.bias[channels:] -= 2 * spread.log()
        vae.post_quant_conv.weight *= spread


def encode(vae: Any, pool: Pool, path: Path, *, track: Track = silent) -> Tensor:
    """The latents of the whole pool, scaled: float16 [n, 4, 16, 16], kept in a file."""
    if path.exists():
        return torch.from_numpy(np.load(path))
    latents = []
    with torch.no_grad():
        for start in track(range(0, len(pool), 100), "encoding"):
            mean = vae.encode(as_input(pool.pictures[start : start + 100])).latent_dist.mean
            latents.append((mean * MINI.latent_scale).half())
    np.save(path, torch.cat(latents).numpy())
    return torch.cat(latents)


def captions_for(scenes: list[Scene], rng: Generator) -> list[str]:
    """One caption each; a tenth of them empty, for classifier-free guidance."""
    words = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng)))
    said = [caption(s, FAMILY_OF[s.style], words).text for s in scenes]
    return ["" if words.random() < 0.1 else text for text in said]


def train_unet(
    scenes: list[Scene],
    latents: Tensor,
    text: Callable[[list[str]], Tensor],
    state: Path,
    *,
    steps: int = 9000,
    device: str = "cpu",
    track: Track = silent,
) -> nn.Module:
    """The denoiser. text: prompts -> embeddings [n, L, d], frozen."""
    torch.manual_seed(3)
    unet = UNet2DConditionModel.from_config(config("unet")).to(device)
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    kept = (1 - beta).cumprod(0).float()  # [1000], the share of variance that is signal

    def loss_at(rng: Generator) -> Tensor:
        chosen = torch.randint(len(scenes), (32,), generator=rng)
        clean = latents[chosen].float()
        t = torch.randint(1000, (len(chosen),), generator=rng)
        noise = torch.randn(clean.shape, generator=rng)
        a = kept[t][:, None, None, None]
        noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
        words = text(captions_for([scenes[i] for i in chosen.tolist()], rng))
        with torch.autocast(device, dtype=torch.bfloat16):
            said = unet(noisy.to(device), t.to(device), words.to(device)).sample
        return mse_loss(said.float(), noise.to(device))

    return train(unet, loss_at, state, steps=steps, lr=1e-3, average=0.999, track=track)
