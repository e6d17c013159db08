"""Every family and kind of UNet draws what diffusers draws with the same modules and noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
)
from PIL import Image
from safetensors.torch import load_file, save_file
from small_models import SCHEDULER, Small, padded
from torch.testing import assert_close

from ckptedit.diffusion import Model, decode, open_model, sample_latents
from ckptedit.diffusion.noise import noises_for

PROMPTS = ["a cat in van gogh style", "a dog"]
STEPS, GUIDANCE = 2, 4.0


def opened(model: Small, layout: str = "ldm", **how: Any) -> Model:
    path = model.file if layout == "ldm" else model.directory
    asked = {"prediction": "epsilon", "precision": "float32"} | how
    return open_model(path, family=model.family, tokenizer=model.words, **asked)


def drawn(model: Model) -> tuple[torch.Tensor, np.ndarray]:
    """Noise, and the pictures that are drawn from it."""
    noise = noises_for(model.latent_shape, [("cat", seed) for seed in range(2)])
    latents = sample_latents(model, PROMPTS, noise=noise, steps=STEPS, guidance=GUIDANCE)
    return noise, decode(model, latents).permute(0, 2, 3, 1).numpy()


def same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.std() > 0.02  # not a grey field
    assert np.abs(ours - theirs).max() < 1e-3


def asked(noise: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {
        "latents": noise, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE,
        "output_type": "np", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "layout", "said"),
    [
        ("sd1", "ldm", {}),
        ("sd2", "folder", {"prediction_type": "v_prediction"}),
        ("sdxl", "folder", {}),
        ("sdxl", "ldm", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
    ],
)
def test_pictures_are_those_of_diffusers(
    kind: str,
    layout: str,
    said: dict[str, Any],
    tmp_path: Path,
    smalls: Callable[..., Small],
) -> None:
    model = smalls(kind)
    ours = opened(model, layout, prediction=said.get("prediction_type", "epsilon"))
    if "rescale_betas_zero_snr" in said:
        path = tmp_path / "y.safetensors"
        markers = {name: torch.zeros(1) for name in ("v_pred", "ztsnr")}
        save_file(load_file(model.file) | markers, path)
        ours = open_model(path, family=model.family, tokenizer=model.words, precision="float32")
    pipe = model.pipeline()
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(SCHEDULER | said)
    noise, pictures = drawn(ours)
    same(pictures, pipe(PROMPTS, **asked(noise)).images)


def test_an_inpainting_model_paints_the_whole_picture_anew(smalls: Callable[..., Small]) -> None:
    model = smalls("sd1", 9)
    ours = opened(model)
    noise, pictures = drawn(ours)
    pipe = StableDiffusionInpaintPipeline(
        **model.modules, tokenizer=padded(None), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, scheduler=DPMSolverMultistepScheduler.from_config(SCHEDULER),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    covered = pipe.vae.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mode() * 0.18215
    picture = Image.new("RGB", (64, 64), (90, 160, 30))  # what is under the mask is not seen
    theirs = pipe(
        PROMPTS, **asked(noise, strength=1.0, height=64, width=64), image=picture,
        mask_image=Image.new("L", (64, 64), 255), masked_image_latents=covered.detach(),
    )  # fmt: skip
    same(pictures, theirs.images)


def test_an_instruction_model_draws_without_a_picture(smalls: Callable[..., Small]) -> None:
    model = smalls("sd1", 8)
    noise, pictures = drawn(opened(model))
    pipe = StableDiffusionInstructPix2PixPipeline(
        **model.modules, tokenizer=padded(None), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, scheduler=DPMSolverMultistepScheduler.from_config(SCHEDULER),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(PROMPTS, image=torch.zeros(2, 4, 8, 8), **asked(noise))
    same(pictures, theirs.images)


def test_sdxl_is_told_the_size_of_the_picture(smalls: Callable[..., Small]) -> None:
    model = opened(smalls("sdxl"))
    assert model.enlarged == 8
    told = model.denoiser.sizes(torch.zeros(2, 4, 8, 16))["time_ids"]
    assert told.tolist() == [[64, 128, 0, 0, 64, 128]] * 2


def test_noise_and_velocity_of_one_model_are_the_same_to_who_asks_for_noise(
    smalls: Callable[..., Small],
) -> None:
    model = opened(smalls("sd2"), prediction="v_prediction")
    latents, t = torch.randn(2, 4, 8, 8), torch.tensor([3, 999])
    text = model.text.encode(PROMPTS).condition
    with torch.no_grad():
        velocity, noise = model.denoiser.output(latents, t, text), model.denoiser(latents, t, text)
    a = model.schedule.alphas_cumprod[t].view(2, 1, 1, 1)
    assert_close(noise, a.sqrt() * velocity + (1 - a).sqrt() * latents)
