"""Names are translated as diffusers translates them, in every family and in small models."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel

from ckptedit.errors import BadCheckpoint
from ckptedit.families import SD1, SD2, blocks_of, sources
from ckptedit.families.names import inverse, translate, unet_table, vae_table
from families.names_only import UNETS as FULL_SIZE
from families.names_only import packaged

TINY_UNET = {
    "block_out_channels": [32, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}
DEEP_UNET = TINY_UNET | {
    "block_out_channels": [16, 16, 32, 32, 48],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D", "UpBlock2D"] * 2,
    "layers_per_block": 3,
}


UNETS = {
    "tiny": TINY_UNET,
    "deep": DEEP_UNET,
    **FULL_SIZE,
}


def names_of(model_class: Any, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return model_class.from_config(dict(config)).state_dict()


@pytest.mark.parametrize("size", UNETS)
def test_unet_names_come_back_through_diffusers_own_translation(size: str) -> None:
    config = UNETS[size]
    names = list(names_of(UNet2DConditionModel, config))
    table = unet_table(blocks_of(config))
    stored = {f"model.diffusion_model.{translate(name, table)}": name for name in names}
    options = {"class_embed_type": None, "addition_embed_type": None, **config}
    assert convert_ldm_unet_checkpoint(stored, options) == {name: name for name in names}


@pytest.mark.parametrize("size", UNETS)
def test_unet_names_come_back_through_our_own_inverse(size: str) -> None:
    table = unet_table(blocks_of(UNETS[size]))
    back = inverse(table)
    for name in names_of(UNet2DConditionModel, UNETS[size]):
        assert translate(translate(name, table), back) == name


VAES = {
    "sd1": packaged("vae"),
    "tiny": {
        "block_out_channels": [32, 64],
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "latent_channels": 4,
    },
}


@pytest.mark.parametrize("size", VAES)
def test_vae_names_come_back_through_diffusers_own_translation(size: str) -> None:
    config = VAES[size]
    tensors = names_of(AutoencoderKL, config)
    table = vae_table(len(config["block_out_channels"]), config["layers_per_block"])
    there = {f"first_stage_model.{translate(name, table)}": name for name in tensors}
    marked = {n: SimpleNamespace(shape=(1,), name=m) for n, m in there.items()}
    theirs = convert_ldm_vae_checkpoint(marked, config)
    assert {name: mark.name for name, mark in theirs.items()} == {n: n for n in tensors}
    assert {translate(translate(n, table), inverse(table)) for n in tensors} == set(tensors)


def test_clip_names_come_back_through_diffusers_own_translation() -> None:
    names = _text_names(num_hidden_layers=3)
    tensors = {"model.diffusion_model.input_blocks.0.0.bias": SimpleNamespace(shape=(1,))}
    tensors |= {
        f"cond_stage_model.transformer.text_model.{n.removeprefix('text_model.')}": n for n in names
    }
    found = sources(tensors, SD1, "text_encoder", parameters=names, config={})
    theirs = convert_ldm_clip_checkpoint({s.name: n for n, s in found.items()})
    assert {n.removeprefix("text_model."): m for n, m in theirs.items()} == {
        n.removeprefix("text_model."): n for n in names
    }


def _text_names(**config: Any) -> list[str]:
    with torch.device("meta"):
        return list(CLIPTextModel(CLIPTextConfig(**config)).state_dict())


def test_open_clip_names_and_packed_rows_are_those_of_diffusers() -> None:
    config = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}
    config |= {"num_hidden_layers": 3, "vocab_size": 11, "max_position_embeddings": 5}
    model = CLIPTextModel(CLIPTextConfig(**config))
    stored = _open_clip_file(width=8, layers=4)
    parameters = list(model.state_dict())
    found = sources(stored, SD2, "text_encoder", parameters=parameters, config=config)
    theirs = convert_open_clip_checkpoint(model, dict(stored))
    theirs = {name.removeprefix("text_model."): tensor for name, tensor in theirs.items()}
    for parameter, source in found.items():
        tensor = stored[source.name]
        ours = tensor if source.part is None else tensor.chunk(3)[source.part]
        assert torch.equal(ours, theirs[parameter.removeprefix("text_model.")]), parameter


def _open_clip_file(width: int, layers: int) -> dict[str, torch.Tensor]:
    shapes = {"token_embedding.weight": (11, width), "positional_embedding": (5, width)}
    shapes |= {"ln_final.weight": (width,), "ln_final.bias": (width,), "logit_scale": ()}
    shapes |= {"text_projection": (width, width)}
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}"
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width)}
        shapes |= {f"{block}.attn.in_proj_bias": (3 * width,)}
        shapes |= {f"{block}.attn.out_proj.weight": (width, width)}
        shapes |= {f"{block}.attn.out_proj.bias": (width,)}
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"{block}.{norm}.weight": (width,), f"{block}.{norm}.bias": (width,)}
        shapes |= {f"{block}.mlp.c_fc.weight": (16, width), f"{block}.mlp.c_fc.bias": (16,)}
        shapes |= {f"{block}.mlp.c_proj.weight": (width, 16), f"{block}.mlp.c_proj.bias": (width,)}
    text = {f"cond_stage_model.model.{n}": torch.randn(shape) for n, shape in shapes.items()}
    return {"model.diffusion_model.input_blocks.0.0.bias": torch.zeros(1), **text}


def test_a_name_of_another_architecture_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="double_blocks"):
        translate("double_blocks.0.img_attn.qkv.weight", unet_table(SD1.blocks))
