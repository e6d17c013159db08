"""`export --keys peft`: diffusers loads it as the change that was made, in every component."""

import json

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.deltas import Dense
from ckptedit.files import Checkpoint

UNET = "down_blocks.0.attentions.0.transformer_blocks.0.attn2."
LAYER = "text_model.encoder.layers.1."


def changed(model):
    """Names in the single file, and where diffusers has the rows that change."""
    deep = "down_blocks.1.attentions.0.transformer_blocks.1.attn2."
    unet = deep if model.kind == "sdxl" else UNET
    ldm = "model.diffusion_model." + (
        "input_blocks.3.1.transformer_blocks.1.attn2." if model.kind == "sdxl"
        else "input_blocks.1.1.transformer_blocks.0.attn2."
    )  # fmt: skip
    found = {f"{ldm}to_k.weight": [("unet", f"{unet}to_k")],
             f"{ldm}to_out.0.weight": [("unet", f"{unet}to_out.0")],
             "model.diffusion_model.input_blocks.2.0.op.weight":
                 [("unet", "down_blocks.0.downsamplers.0.conv")]}  # fmt: skip
    clip = {"sd1": "cond_stage_model.transformer.", "sdxl": "conditioner.embedders.0.transformer."}
    open_clip = {"sd2": ("cond_stage_model.model.", "text_encoder"),
                 "sdxl": ("conditioner.embedders.1.model.", "text_encoder_2")}  # fmt: skip
    if start := clip.get(model.kind):
        found[f"{start}{LAYER}mlp.fc1.weight"] = [("text_encoder", f"{LAYER}mlp.fc1")]
    if where := open_clip.get(model.kind):
        start, part = where
        block = f"{start}transformer.resblocks.1."
        found[f"{block}attn.in_proj_weight"] = [
            (part, f"{LAYER}self_attn.{letter}_proj") for letter in "qkv"
        ]
        found[f"{block}mlp.c_fc.weight"] = [(part, f"{LAYER}mlp.fc1")]
    return found


def edits(model):
    rng = np.random.default_rng(0)
    with Checkpoint(model.single) as base:
        shapes = {name: base[name].shape for name in changed(model)}
    return {name: Dense(product(rng, shape)) for name, shape in shapes.items()}


def product(rng, shape):
    """A change of rank 2."""
    up = rng.standard_normal((shape[0], 2))
    down = rng.standard_normal((2, int(np.prod(shape[1:])))) / 8
    return (up @ down).reshape(shape).astype(np.float32)


def test_diffusers_adds_what_was_changed_and_nothing_else(model, tmp_path):
    made, delta, lora = edits(model), tmp_path / "d.safetensors", tmp_path / "lora.safetensors"
    ckptedit.write_delta(model.single, made, delta)
    report = ckptedit.export(delta, lora, keys="peft")
    assert report.left_out == () and report.error < 1e-6
    pipe = DiffusionPipeline.from_pretrained(model.theirs).to(torch.float32)
    parts = [part for part in ("unet", "text_encoder", "text_encoder_2") if hasattr(pipe, part)]
    before = {p: {k: v.clone() for k, v in getattr(pipe, p).state_dict().items()} for p in parts}
    pipe.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    expected = {}
    for name, places in changed(model).items():
        thirds = np.split(made[name].values, len(places))
        for (part, module), rows in zip(places, thirds, strict=True):
            expected[part, module.removeprefix("text_model.")] = rows.reshape(len(rows), -1)
    for part, old in before.items():
        for key, value in getattr(pipe, part).state_dict().items():
            moved = (value - old[key]).numpy().reshape(len(value) if value.ndim else 1, -1)
            module = key.removeprefix("text_model.").removesuffix(".weight")
            np.testing.assert_allclose(moved, expected.pop((part, module), 0 * moved), atol=2e-5)
    assert not expected


def test_keys_are_those_that_peft_writes_and_no_alpha(model, tmp_path):
    ckptedit.write_delta(model.single, edits(model), tmp_path / "d.safetensors")
    ckptedit.export(tmp_path / "d.safetensors", tmp_path / "lora.safetensors", keys="peft")
    tensors = load_file(tmp_path / "lora.safetensors")
    modules = {f"{part}.{m}" for places in changed(model).values() for part, m in places}
    old = {"sd1": "text_encoder.", "sdxl": "text_encoder.", "sd2": "-"}[model.kind]
    assert tensors.keys() == {
        f"{m}.{end}.weight"
        for m in modules
        for end in (
            ("lora_linear_layer.down", "lora_linear_layer.up")
            if m.startswith(old)
            else ("lora_A", "lora_B")
        )
    }
    down = tensors["unet.down_blocks.0.downsamplers.0.conv.lora_A.weight"]
    up = tensors["unet.down_blocks.0.downsamplers.0.conv.lora_B.weight"]
    assert down.shape == (2, 32, 3, 3) and up.shape == (32, 2, 1, 1)
    with Checkpoint(tmp_path / "lora.safetensors") as file:
        known = json.loads(file.metadata["ckptedit.export"])
    assert known.keys() == modules


def export(*options):
    return CliRunner().invoke(app, ["export", "d.safetensors", *options])


@pytest.mark.parametrize("model", ["sd1"], indirect=True)
def test_what_peft_has_no_key_for_is_named(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Checkpoint(model.single) as base:
        norm = "model.diffusion_model.out.0.weight"
        vae = "first_stage_model.decoder.conv_in.weight"
        made = {n: Dense(np.ones(base[n].shape, np.float32)) for n in (norm, vae)}
    ckptedit.write_delta(model.single, made | edits(model), "d.safetensors")
    result = CliRunner().invoke(
        app, ["export", "d.safetensors", "--keys", "peft", "-o", "l.safetensors"]
    )
    assert result.exit_code == 0 and norm in result.stderr and vae in result.stderr
    ckptedit.write_delta(model.single, made, "d.safetensors", force=True)
    result = CliRunner().invoke(
        app, ["export", "d.safetensors", "--keys", "peft", "-o", "m.safetensors"]
    )
    assert result.exit_code == 2 and "that diffusers loads from a lora file" in result.stderr
    result = CliRunner().invoke(
        app, ["export", "d.safetensors", "--keys", "p", "-o", "m.safetensors"]
    )
    assert result.exit_code == 2 and "it must be kohya or peft" in result.stderr.replace(
        "they", "it"
    )
