"""`ckptedit export` as a user types it, and what other tools make of its files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from deltas.conftest import (  # noqa: F401
    BIAS,
    CONV,
    KEY,
    SHAPES,
    TEXT,
    VAE,
    VALUE,
    dense,
    low_rank,
    make,
    numbers,
)
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from refusal import refused
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.deltas import read_delta, write_delta
from ckptedit.diffusion import decode, noises_for, open_model, sample_latents
from ckptedit.families import MINI, kv_weights
from ckptedit.files import Checkpoint, write_edited

EDIT = {KEY: low_rank(SHAPES[KEY], 4), VALUE: low_rank(SHAPES[VALUE], 4)}
START = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


def run(*args):
    return CliRunner().invoke(app, ["export", *(str(arg) for arg in args)])


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def delta(make, changes):  # noqa: F811
    with Checkpoint(make("base")) as base, Checkpoint(make("edited", changes=changes)) as edited:
        write_delta(base, edited, "d.safetensors", force=True)
    return "d.safetensors"


def test_writes_beside_you_and_prints_the_path_alone(make):  # noqa: F811
    result = run(delta(make, EDIT))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "d.export.safetensors\n", "")
    tensors = load_file("d.export.safetensors")
    assert tensors[f"{START}.lora_up.weight"].shape == (128, 4)
    change = tensors[f"{START}.lora_up.weight"] @ tensors[f"{START}.lora_down.weight"]
    np.testing.assert_allclose(change, read_delta("d.safetensors")[KEY], rtol=1e-4, atol=1e-7)


def test_json_and_metadata(make):  # noqa: F811
    report = json.loads(run(delta(make, EDIT), "-o", "vangogh.safetensors", "--json").stdout)
    with safe_open("vangogh.safetensors", "np") as file:
        metadata = file.metadata()
    with Checkpoint("vangogh.safetensors") as checkpoint:
        digest = checkpoint.data_sha256()
    assert report == {
        "schema_version": 1, "output": "vangogh.safetensors", "sha256": digest, "format": "lora",
        "tensors": 2, "rank": 4, "error": {"relative": 0.0}, "left_out": [],
    }  # fmt: skip
    assert metadata["ss_network_module"] == "networks.lora"
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "4.0")
    assert metadata["ss_output_name"] == metadata["modelspec.title"] == "vangogh"
    assert metadata["modelspec.architecture"] == "mini/lora"
    assert metadata["sshs_model_hash"] == digest
    assert metadata["modelspec.hash_sha256"] == f"0x{digest}"
    ours = {key for key in metadata if key.startswith("ckptedit.")}
    assert ours == {"ckptedit.ledger", "ckptedit.export"}


def test_a_lower_rank_is_the_best_there_is_and_its_loss_is_told(make):  # noqa: F811
    source = delta(make, {KEY: low_rank(SHAPES[KEY], 4), VALUE: dense(SHAPES[VALUE])})
    result = run(source, "--rank", "2", "-o", "two.safetensors", "--json")
    report, tensors, lost, norm = json.loads(result.stdout), load_file("two.safetensors"), 0.0, 0.0
    for name, change in read_delta(source).items():
        start = START.replace("to_k", "to_k" if name == KEY else "to_v")
        ours = tensors[f"{start}.lora_up.weight"] @ tensors[f"{start}.lora_down.weight"]
        error = float(np.linalg.norm(change - ours.numpy())) ** 2
        best = float(np.square(np.linalg.svd(change, compute_uv=False)[2:]).sum())
        assert best * 0.999 <= error <= best * 1.1  # a sketch of noise is a little worse
        lost, norm = lost + error, norm + float(np.square(change).sum())
    assert report["error"]["relative"] == pytest.approx((lost / norm) ** 0.5, rel=1e-3)
    assert "rank 2 loses" in result.stderr


def test_what_has_no_low_rank_needs_a_rank_or_lycoris(make):  # noqa: F811
    source = delta(make, {VALUE: dense(SHAPES[VALUE])})
    refused = run(source)
    assert refused.exit_code == 2 and "--rank" in refused.stderr and "lycoris" in refused.stderr
    assert not Path("d.export.safetensors").exists()
    assert run(source, "--format", "lycoris").exit_code == 0


def test_lycoris_holds_every_difference(make):  # noqa: F811
    changes = EDIT | {BIAS: dense(SHAPES[BIAS]), CONV: dense(SHAPES[CONV])}
    assert run(delta(make, changes), "--format", "lycoris", "-o", "l.safetensors").exit_code == 0
    tensors, whole = load_file("l.safetensors"), read_delta("d.safetensors")
    assert set(tensors) == {
        f"{START}.diff", f"{START.replace('to_k', 'to_v')}.diff",
        "lora_unet_down_blocks_0_resnets_0_conv1.diff",
        "lora_unet_down_blocks_0_resnets_0_conv1.diff_b",
    }  # fmt: skip
    np.testing.assert_array_equal(tensors[f"{START}.diff"], whole[KEY])
    with safe_open("l.safetensors", "np") as file:
        assert file.metadata()["ss_network_module"] == "lycoris.kohya"
        assert json.loads(file.metadata()["ss_network_args"]) == {"algo": "full"}


def test_what_no_other_tool_loads_is_left_out_and_named(make):  # noqa: F811
    changes = EDIT | {VAE: dense(SHAPES[VAE]), TEXT: low_rank(SHAPES[TEXT], 2)}
    result = run(delta(make, changes), "--json")
    assert json.loads(result.stdout)["left_out"] == [VAE] and VAE in result.stderr
    key = "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight"
    assert key in load_file("d.export.safetensors")
    nothing = run(delta(make, {VAE: dense(SHAPES[VAE])}), "-o", "x.safetensors")
    assert nothing.exit_code == 2 and "none of its 1 changes" in nothing.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--format", "gguf"], "it must be lora or lycoris"),
        (["--rank", "0"], "rank must be 1 or more"),
        (["--rank", "2", "--format", "lycoris"], "has no rank"),
        (["-o", "d.safetensors", "--force"], "is an input"),
        (["-o", "-", "--json"], "both want stdout"),
    ],
)
def test_bad_options_are_one_line_and_status_2(make, arguments, message):  # noqa: F811
    refused(run(delta(make, EDIT), *arguments), message)


def test_a_whole_checkpoint_is_no_lora_and_a_delta_no_folder(make):  # noqa: F811
    refused(run(make("base"), "--format", "lora"), "is a whole checkpoint: --format diffusers")
    refused(run(delta(make, EDIT), "--format", "single"), "is a delta or LoRA: --format lora or")


PROMPTS = ["a cat in Van Gogh style", "an unheard-of thing"]


def edited_mini(folder: Path) -> tuple[Path, Path]:
    """mini, and with a change of rank 4 in its K/V weights."""
    base, edited = MINI.folder / "mini.safetensors", folder / "edited.safetensors"
    with Checkpoint(base) as checkpoint:
        edits = {}
        for seed, weight in enumerate(kv_weights(checkpoint)):
            old = checkpoint.values(weight.name)
            change = low_rank(old.shape, 4, seed)
            edits[weight.name] = old + 0.5 * change / np.linalg.norm(change) * np.linalg.norm(old)
        write_edited(edited, checkpoint, edits)
    return base, edited


def ours(path: Path) -> np.ndarray:
    """Pictures by our own sampler, float32 in 0..1: [n, h, w, 3]"""
    model = open_model(path, precision="float32")
    noise = noises_for(model.latent_shape, [(0,), (1,)])
    latents = sample_latents(model, PROMPTS, noise=noise, steps=6, guidance=3.0)
    return decode(model, latents).permute(0, 2, 3, 1).numpy()


def theirs(path: Path, lora: str) -> np.ndarray:
    """The same by diffusers, with a LoRA loaded into its pipeline."""
    pipe = StableDiffusionPipeline.from_single_file(
        str(path), config=str(MINI.folder), local_files_only=True
    )
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(".", weight_name=lora)
    noise = noises_for(open_model(path).latent_shape, [(0,), (1,)])
    images = pipe(
        PROMPTS, latents=noise, num_inference_steps=6, guidance_scale=3.0, output_type="np"
    ).images
    assert isinstance(images, np.ndarray)
    return images


def test_diffusers_loads_the_lora_and_draws_the_pictures_of_the_edited_checkpoint(tmp_path):
    pytest.importorskip("peft", reason="diffusers loads LoRA through peft")
    base, edited = edited_mini(tmp_path)
    CliRunner().invoke(app, ["diff", str(base), str(edited), "-o", "d.safetensors", "-q"])
    assert run("d.safetensors", "-o", "lora.safetensors").exit_code == 0
    with torch.no_grad():
        before, after = ours(base), ours(edited)
        drawn = theirs(base, "lora.safetensors")
    changed = float(np.abs(before - after).max())
    assert changed > 0.05
    assert np.abs(drawn - after).max() < 0.002
