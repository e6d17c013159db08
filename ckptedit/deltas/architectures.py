"""What transformers for pictures call a module in a single file, and in a diffusers folder.

A single file packs q, k and v (and what else reads the same input) into one matrix; a folder has
them apart. After diffusers' `loaders/single_file_utils.py` and `lora_conversion_utils.py` and
ComfyUI's maps (`comfy/utils.py`: `flux_to_diffusers`, `mmdit_to_diffusers`,
`z_image_to_diffusers`); the tests compare with both.
"""

from collections.abc import Mapping
from typing import NamedTuple

SWAPPED = "swapped"  # where a norm has shift and scale alone, [2 d, d], a folder has scale first


class Packing(NamedTuple):
    """single: a module there, {} is a number; apart: those that it is made of in a folder.

    The rows are as many for each; or, where there are four, the first three have as many as there
    are columns (q, k, v of a layer that has its MLP beside them), and the last has the rest.
    """

    single: str
    apart: tuple[str, ...]


def _of(single: str, apart: str) -> Packing:
    return Packing(single, tuple(apart.split()))


QKV, ADDED = ("attn.to_q attn.to_k attn.to_v", "attn.add_q_proj attn.add_k_proj attn.add_v_proj")


def _block(single: str, apart: str, pairs: Mapping[str, str]) -> list[Packing]:
    """Packings of a numbered block. pairs: names in it; several in a folder stand in a row"""
    return [
        Packing(f"{single}.{here}", tuple(
            part if part == SWAPPED else f"{apart}.{part}" for part in there.split()))
        for here, there in pairs.items()
    ]  # fmt: skip


ENDS = [
    _of("final_layer.linear", "proj_out"),
    Packing("final_layer.adaLN_modulation.1", ("norm_out.linear", SWAPPED)),
]
FLUX = [  # Flux.1, Chroma and Flux.2
    *_block(
        "double_blocks.{}",
        "transformer_blocks.{}",
        {
            "img_attn.qkv": QKV,
            "txt_attn.qkv": ADDED,
            "img_attn.proj": "attn.to_out.0",
            "txt_attn.proj": "attn.to_add_out",
            "img_mod.lin": "norm1.linear",
            "txt_mod.lin": "norm1_context.linear",
            "img_mlp.0": "ff.net.0.proj",
            "img_mlp.2": "ff.net.2",
            "txt_mlp.0": "ff_context.net.0.proj",
            "txt_mlp.2": "ff_context.net.2",
        },
    ),
    *_block(
        "single_blocks.{}",
        "single_transformer_blocks.{}",
        {
            "linear1": f"{QKV} proj_mlp",
            "linear2": "proj_out",
            "modulation.lin": "norm.linear",
        },
    ),
    *_block(
        "double_blocks.{}",
        "transformer_blocks.{}",
        {
            "img_mlp.0": "ff.linear_in",
            "img_mlp.2": "ff.linear_out",
            "txt_mlp.0": "ff_context.linear_in",
            "txt_mlp.2": "ff_context.linear_out",
            "img_attn.qkv": "attn.to_qkv",
            "txt_attn.qkv": "attn.to_added_qkv",
        },
    ),
    *_block(
        "single_blocks.{}",
        "single_transformer_blocks.{}",
        {"linear1": "attn.to_qkv_mlp_proj", "linear2": "attn.to_out"},
    ),
    _of("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
    _of("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
    _of("single_stream_modulation.lin", "single_stream_modulation.linear"),
    _of("time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1"),
    _of("time_in.out_layer", "time_guidance_embed.timestep_embedder.linear_2"),
    _of("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.linear_1"),
    _of("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.linear_2"),
    _of("img_in", "x_embedder"),
    _of("txt_in", "context_embedder"),
    _of("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"),
    _of("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
    _of("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"),
    _of("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
    _of("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
    _of("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
    *ENDS,
]
SD3 = [
    *_block(
        "joint_blocks.{}",
        "transformer_blocks.{}",
        {
            "x_block.attn.qkv": QKV,
            "context_block.attn.qkv": ADDED,
            "x_block.attn2.qkv": QKV.replace("attn.", "attn2."),
            "x_block.attn.proj": "attn.to_out.0",
            "x_block.attn2.proj": "attn2.to_out.0",
            "context_block.attn.proj": "attn.to_add_out",
            "x_block.adaLN_modulation.1": "norm1.linear",
            "x_block.mlp.fc1": "ff.net.0.proj",
            "x_block.mlp.fc2": "ff.net.2",
            "context_block.adaLN_modulation.1": f"norm1_context.linear {SWAPPED}",
            "context_block.mlp.fc1": "ff_context.net.0.proj",
            "context_block.mlp.fc2": "ff_context.net.2",
        },
    ),
    _of("x_embedder.proj", "pos_embed.proj"),
    _of("context_embedder", "context_embedder"),
    _of("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
    _of("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
    _of("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
    _of("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"),
    *ENDS,
]
Z_IMAGE = [
    packing
    for block in ("layers.{}", "context_refiner.{}", "noise_refiner.{}")
    for packing in _block(
        block,
        block,
        {
            "attention.qkv": QKV.replace("attn.", "attention."),
            "attention.out": "attention.to_out.0",
        },
    )
] + [
    _of("x_embedder", "all_x_embedder.2-1"),
    _of("final_layer.linear", "all_final_layer.2-1.linear"),
    _of("final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1"),
]
COSMOS = [  # Anima
    *_block(
        "blocks.{}",
        "transformer_blocks.{}",
        {
            f"{ours}_attn.{here}": f"{theirs}.{there}"
            for ours, theirs in (("self", "attn1"), ("cross", "attn2"))
            for here, there in (
                ("q_proj", "to_q"),
                ("k_proj", "to_k"),
                ("v_proj", "to_v"),
                ("output_proj", "to_out.0"),
            )
        }
        | {
            f"adaln_modulation_{part}.{i}": f"{norm}.linear_{i}"
            for part, norm in (("self_attn", "norm1"), ("cross_attn", "norm2"), ("mlp", "norm3"))
            for i in (1, 2)
        }
        | {"mlp.layer1": "ff.net.0.proj", "mlp.layer2": "ff.net.2"},
    ),
    _of("final_layer.adaln_modulation.1", "norm_out.linear_1"),
    _of("final_layer.adaln_modulation.2", "norm_out.linear_2"),
    _of("final_layer.linear", "proj_out"),
    _of("t_embedder.1.linear_1", "time_embed.t_embedder.linear_1"),
    _of("t_embedder.1.linear_2", "time_embed.t_embedder.linear_2"),
    _of("x_embedder.proj.1", "patch_embed.proj"),
]
TABLES = {  # modules that only this architecture has -> its table
    (
        "double_blocks.0.img_attn.proj",
        "single_transformer_blocks.0.proj_out",
        "single_transformer_blocks.0.attn.to_qkv_mlp_proj",
    ): FLUX,
    ("joint_blocks.0.x_block.attn.proj", "transformer_blocks.0.attn.add_k_proj"): SD3,
    ("context_refiner.0.attention.out", "context_refiner.0.attention.to_out.0"): Z_IMAGE,
    ("blocks.0.adaln_modulation_mlp.2", "transformer_blocks.0.norm3.linear_2"): COSMOS,
}
