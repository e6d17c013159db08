"""Synthetic checkpoints with the tensor names of Stable Diffusion XL, full size: 3.5 B numbers."""

import json

from benchmarks.sd1 import Shapes, affine, text_encoder, vae


def sdxl() -> Shapes:
    """Name -> shape, 6.9 GB in half precision."""
    return unet() | vae() | first() | second()


def unet() -> Shapes:
    """The official config's parameters, under the single file's names."""
    import torch
    from diffusers import UNet2DConditionModel

    from ckptedit.families import SDXL
    from ckptedit.families.names import translate, unet_table

    assert SDXL.folder
    config = json.loads((SDXL.folder / "unet" / "config.json").read_text())
    with torch.device("meta"):
        weights = UNet2DConditionModel.from_config(config).state_dict()
    table = unet_table(SDXL.counted())
    return {
        SDXL.unet_prefix + translate(name, table): tuple(weight.shape)
        for name, weight in weights.items()
    }


def first() -> Shapes:
    """CLIP ViT-L/14."""
    here, there = "cond_stage_model.", "conditioner.embedders.0."
    return {there + name.removeprefix(here): shape for name, shape in text_encoder().items()}


def second(width: int = 1280, layers: int = 32, words: int = 49408) -> Shapes:
    """OpenCLIP ViT-bigG/14."""
    out: Shapes = {
        "positional_embedding": (77, width),
        "text_projection": (width, width),
        "token_embedding.weight": (words, width),
        "logit_scale": (),
    }
    for i in range(layers):
        layer = f"transformer.resblocks.{i}"
        out |= {
            f"{layer}.attn.in_proj_weight": (3 * width, width),
            f"{layer}.attn.in_proj_bias": (3 * width,),
        }
        out |= affine(f"{layer}.attn.out_proj", width, width)
        out |= affine(f"{layer}.ln_1", width) | affine(f"{layer}.ln_2", width)
        out |= affine(f"{layer}.mlp.c_fc", 4 * width, width)
        out |= affine(f"{layer}.mlp.c_proj", width, 4 * width)
    out |= affine("ln_final", width)
    return {f"conditioner.embedders.1.model.{name}": shape for name, shape in out.items()}
