"""SD1, SD2 and SDXL, narrow: random weights by diffusers' and transformers' own classes.

Each is a family of its own with the names, parts and layouts of the real one, as a folder that
`save_pretrained` wrote.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tiny_model import SCHEDULER, UNET, VAE, text_config, tiny_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from ckptedit.families import SD1, SD2, SDXL, Blocks, Family

KINDS = ("sd1", "sd2", "sdxl")
PROJECTED = {"hidden_size": 24, "num_hidden_layers": 3, "hidden_act": "gelu", "projection_dim": 24}


def unet_config(kind: str) -> dict[str, Any]:
    config = dict(UNET)
    if kind == "sd2":
        config["use_linear_projection"] = True
    if kind == "sdxl":
        config |= {
            "use_linear_projection": True,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
            "transformer_layers_per_block": [1, 2],
            "cross_attention_dim": 56,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 48,
        }
    return config


def text_configs(kind: str) -> dict[str, dict[str, Any]]:
    first = {**text_config(), "architectures": ["CLIPTextModel"], "model_type": "clip_text_model"}
    if kind == "sd2":
        first["hidden_act"] = "gelu"
    if kind != "sdxl":
        return {"text_encoder": first}
    second = first | PROJECTED | {"architectures": ["CLIPTextModelWithProjection"]}
    return {"text_encoder": first, "text_encoder_2": second}


def family_of(kind: str, folder: Path) -> Family:
    """The narrow family; its configs are in the folder."""
    real = {"sd1": SD1, "sd2": SD2, "sdxl": SDXL}[kind]
    first = kind == "sdxl"
    return replace(
        real,
        name=f"narrow {kind}",
        text_width=unet_config(kind)["cross_attention_dim"],
        marker=f"input_blocks.{3 if first else 1}.1.transformer_blocks.0.attn2.to_k.weight",
        marker_width=64 if first else 32,
        blocks=Blocks(layers=1, attention=(not first, first)),
        folder=folder,
    )


def modules(kind: str) -> dict[str, Any]:
    """component -> module with random weights, half precision"""
    torch.manual_seed(0)
    found: dict[str, Any] = {
        "unet": UNet2DConditionModel.from_config(unet_config(kind)),
        "vae": AutoencoderKL.from_config(VAE),
    }
    for name, config in text_configs(kind).items():
        plain = config["architectures"] == ["CLIPTextModel"]
        build = CLIPTextModel if plain else CLIPTextModelWithProjection
        found[name] = build(CLIPTextConfig(**config))
    return {name: module.half() for name, module in found.items()}


def write_configs(kind: str, folder: Path) -> None:
    """What ships with the tool for a family: configs, no tokenizer."""
    real = {"sd1": SD1, "sd2": SD2, "sdxl": SDXL}[kind]
    assert real.folder
    listing = json.loads((real.folder / "model_index.json").read_text())
    configs = {"unet": unet_config(kind), "vae": VAE, **text_configs(kind)}
    files = {f"{name}/config.json": config for name, config in configs.items()}
    files |= {"model_index.json": listing, "scheduler/scheduler_config.json": SCHEDULER}
    for name, config in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(config))


def write_folder(kind: str, folder: Path) -> Path:
    """The model as diffusers and transformers save it, with its tokenizers."""
    for name, module in modules(kind).items():
        module.save_pretrained(folder / name)
    write_configs(kind, folder)
    for name in text_configs(kind):
        tiny_tokenizer().save_pretrained(folder / name.replace("text_encoder", "tokenizer"))
    return folder
