"""A checkpoint runs as diffusers runs it, and a damaged one does not run at all."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from tiny_model import tiny_modules

from ckptedit.diffusion import Model, decode, kv_parameters, open_model, sample_latents
from ckptedit.diffusion.noise import noises_for
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import Family

PROMPTS = ["a cat in van gogh style", "a castle", "a photo of a dog"]


def test_pictures_are_those_that_diffusers_makes_from_the_same_file_and_noise(
    model: Model, checkpoint: Path, family: Family
) -> None:
    pipe = StableDiffusionPipeline.from_single_file(
        str(checkpoint), config=str(family.folder), local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    noise = noises_for(model.latent_shape, [("cat", seed) for seed in range(3)])
    theirs = pipe(
        PROMPTS, latents=noise, num_inference_steps=8, guidance_scale=4.0, output_type="np"
    ).images
    latents = sample_latents(model, PROMPTS, noise=noise, steps=8, guidance=4.0)
    ours = decode(model, latents).permute(0, 2, 3, 1).numpy()
    assert ours.std() > 0.05  # not a grey field
    assert np.abs(ours - theirs).max() < 1e-3


def test_a_diffusers_folder_runs_like_the_single_file(
    model: Model, family: Family, tmp_path: Path
) -> None:
    unet, vae, text = tiny_modules()
    for name, module in {"unet": unet, "vae": vae}.items():
        module.save_pretrained(tmp_path / name)
    text.save_pretrained(tmp_path / "text_encoder")
    other = open_model(tmp_path, family=family, precision="float32")
    noise = noises_for(model.latent_shape, [("noise",)])
    ours, theirs = (sample_latents(m, ["a cat"], noise=noise, steps=3) for m in (model, other))
    assert torch.equal(ours, theirs)


def _broken(checkpoint: Path, tmp_path: Path, name: str, value: torch.Tensor | None) -> Path:
    tensors = load_file(checkpoint)
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    path = tmp_path / "broken.safetensors"
    save_file(tensors, path)
    return path


UNET_NAME = "model.diffusion_model.middle_block.0.in_layers.2.weight"
TEXT_NAME = "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.weight"
VAE_NAME = "first_stage_model.decoder.conv_in.weight"


@pytest.mark.parametrize(
    ("part", "name"), [("unet", UNET_NAME), ("text", TEXT_NAME), ("vae", VAE_NAME)]
)
def test_a_missing_weight_is_an_error_that_names_it(
    checkpoint: Path, family: Family, tmp_path: Path, part: str, name: str
) -> None:
    path = _broken(checkpoint, tmp_path, name, None)
    with pytest.raises(BadCheckpoint, match=name.replace(".", r"\.")):
        getattr(open_model(path, family=family), part)


@pytest.mark.parametrize(
    ("part", "name"), [("unet", UNET_NAME), ("text", TEXT_NAME), ("vae", VAE_NAME)]
)
def test_a_weight_of_another_shape_is_an_error_that_names_it(
    checkpoint: Path, family: Family, tmp_path: Path, part: str, name: str
) -> None:
    path = _broken(checkpoint, tmp_path, name, torch.zeros(2, 3))
    with pytest.raises(BadCheckpoint, match=r"shape \[2, 3\], expected"):
        getattr(open_model(path, family=family), part)


def test_a_weight_with_nan_is_refused(checkpoint: Path, family: Family, tmp_path: Path) -> None:
    damaged = load_file(checkpoint)[UNET_NAME]
    damaged.view(-1)[7] = float("nan")
    path = _broken(checkpoint, tmp_path, UNET_NAME, damaged)
    with pytest.raises(BadCheckpoint, match="holds NaN"):
        open_model(path, family=family).unet  # noqa: B018


def test_a_weight_that_the_architecture_does_not_know_is_refused(
    checkpoint: Path, family: Family, tmp_path: Path
) -> None:
    name = "model.diffusion_model.input_blocks.9.0.in_layers.2.weight"
    path = _broken(checkpoint, tmp_path, name, torch.zeros(1))
    with pytest.raises(BadCheckpoint, match=r"no input_blocks|input_blocks\.9"):
        open_model(path, family=family).unet  # noqa: B018


def test_nothing_but_the_parts_in_use_is_loaded(model: Model) -> None:
    assert model.text.encode(["a cat"]).hidden.shape == (1, 16, 32)
    assert "unet" not in vars(model)
    assert "vae" not in vars(model)


def test_kv_weights_are_found_by_their_stored_names(model: Model) -> None:
    name = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight"
    live = model.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_v.weight
    assert kv_parameters(model.unet, [name])[name] is live


def test_a_device_that_is_not_there_is_named(checkpoint: Path, family: Family) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(BadParam, match="--device cuda"):
        open_model(checkpoint, family=family, device="cuda")
    with pytest.raises(BadParam, match="quantum"):
        open_model(checkpoint, family=family, device="quantum")


def test_loading_warns_about_nothing(
    checkpoint: Path, family: Family, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        opened = open_model(checkpoint, family=family)
        _ = opened.unet, opened.vae, opened.text
    assert not caplog.records
