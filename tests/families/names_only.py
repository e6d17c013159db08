"""Checkpoints of full size as names and shapes, without a single weight."""

import json
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from ckptedit.families import SD1, SD2, SDXL, SDXL_REFINER, Family, blocks_of
from ckptedit.families.names import translate, unet_table

SDXL_UNET = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}

REFINER_UNET = {
    "block_out_channels": [384, 768, 1536, 1536],
    "down_block_types": [
        "DownBlock2D",
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "DownBlock2D",
    ],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
    "cross_attention_dim": 1280,
    "attention_head_dim": [6, 12, 24, 24],
    "transformer_layers_per_block": 4,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2560,
}


def packaged(component: str, family: Family = SD1) -> dict[str, Any]:
    assert family.folder
    config: dict[str, Any] = json.loads((family.folder / component / "config.json").read_text())
    return config


UNETS = {
    SD1.name: packaged("unet"),
    SD2.name: packaged("unet", SD2),
    SDXL.name: SDXL_UNET,
    SDXL_REFINER.name: REFINER_UNET,
}


def unet_shapes(config: dict[str, Any], spelling: str) -> dict[str, SimpleNamespace]:
    """The UNet's tensors in a single file ("ldm") or a diffusers folder ("diffusers")."""
    with torch.device("meta"):
        weights = UNet2DConditionModel.from_config(config).state_dict()
    table = unet_table(blocks_of(config))
    return {
        f"unet.{name}"
        if spelling == "diffusers"
        else f"model.diffusion_model.{translate(name, table)}": SimpleNamespace(
            shape=tuple(weight.shape)
        )
        for name, weight in weights.items()
    }
