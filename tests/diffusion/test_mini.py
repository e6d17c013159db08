"""mini runs in diffusers as it runs here: as it ships, and its architecture with random weights."""

from pathlib import Path

import numpy as np
import pytest
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from tiny_model import mini_config, random_mini

from ckptedit.diffusion import decode, noises_for, open_model, sample_latents
from ckptedit.families import MINI, blocks_of, kv_weights
from ckptedit.families.mini import CHECKPOINT
from ckptedit.files import Checkpoint


@pytest.fixture(scope="module", params=["shipped", "random"])
def checkpoint(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    if request.param == "shipped":
        return CHECKPOINT
    return random_mini(tmp_path_factory.mktemp("mini") / "mini.safetensors")


def test_it_is_detected_and_its_blocks_are_those_of_its_config(checkpoint: Path) -> None:
    model = open_model(checkpoint)
    assert model.family is MINI
    assert blocks_of(mini_config("unet")) == MINI.blocks
    assert len(kv_weights(Checkpoint(checkpoint))) == len(
        [name for name in model.unet.state_dict() if "attn2.to_k" in name or "attn2.to_v" in name]
    )


def test_from_single_file_draws_the_same_pictures_from_the_same_noise(checkpoint: Path) -> None:
    pipe = StableDiffusionPipeline.from_single_file(
        str(checkpoint), config=str(MINI.folder), local_files_only=True
    )
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    model = open_model(checkpoint, precision="float32")
    prompts = ["a cat in Van Gogh style", "an unheard-of thing"]
    noise = noises_for(model.latent_shape, [(0,), (1,)])
    theirs = pipe(
        prompts, latents=noise, num_inference_steps=6, guidance_scale=3.0, output_type="np"
    ).images
    ours = decode(model, sample_latents(model, prompts, noise=noise, steps=6, guidance=3.0))
    assert np.abs(ours.permute(0, 2, 3, 1).numpy() - theirs).max() < 1e-3
