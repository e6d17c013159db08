"""What transformers for pictures call a module in a single file, and in a diffusers folder.

A single file packs q, k and v (and what else reads the same input) into one matrix; a folder has
them apart. After diffusers' `loaders/single_file_utils.py` and `lora_conversion_utils.py` and
ComfyUI's maps (`comfy/utils.py`: `flux_to_diffusers`, `mmdit_to_diffusers`,
`z_image_to_diffusers`); the tests compare with both.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from ckptedit.deltas.keys import WEIGHT
from ckptedit.families.detect import HasShape

PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "")
SWAPPED = "swapped"  # shift and scale of the last norm: the halves of one are those of the other


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
        Packing(f"{single}.{here}", tuple(f"{apart}.{part}" for part in there.split()))
        for here, there in pairs.items()
    ]


ENDS = [
    _of("final_layer.linear", "proj_out"),
    Packing("final_layer.adaLN_modulation.1", ("norm_out.linear", SWAPPED)),
]
FLUX = [
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
TABLES = {  # modules that only this architecture has -> its table
    ("double_blocks.0.img_attn.proj", "single_transformer_blocks.0.proj_out"): FLUX,
    ("joint_blocks.0.x_block.attn.proj", "transformer_blocks.0.attn.add_k_proj"): SD3,
    ("context_refiner.0.attention.out", "context_refiner.0.attention.to_out.0"): Z_IMAGE,
}

Rows = tuple[str, int, int]  # name of a tensor, first row, and the one after the last


def packings(base: Mapping[str, HasShape]) -> Iterator[tuple[list[Rows], str]]:
    """The other names of modules of a base, each with the rows that make it up, in order."""
    bare = {}  # module without its prefix -> tensor
    for prefix in reversed(PREFIXES):
        for name in base:
            if name.startswith(prefix) and name.endswith(WEIGHT):
                bare[name.removeprefix(prefix).removesuffix(WEIGHT)] = name
    table = next((t for marks, t in TABLES.items() if any(m in bare for m in marks)), [])
    for packing in table:
        yield from _split(packing, bare, base)
        yield from _together(packing, bare, base)


def _split(
    packing: Packing, bare: Mapping[str, str], base: Mapping[str, HasShape]
) -> Iterator[tuple[list[Rows], str]]:
    """The parts of what a base has packed."""
    pattern = _pattern(packing.single)
    for module, name in bare.items():
        if match := pattern.fullmatch(module):
            shape, parts = base[name].shape, packing.apart
            bounds = _bounds(shape, len(parts))
            runs = [(name, start, stop) for start, stop in pairwise(bounds)]
            if SWAPPED in parts:
                yield runs[::-1], parts[0]
                continue
            for part, run in zip(parts, runs, strict=True):
                yield [run], part.format(*match.groups())


def _together(
    packing: Packing, bare: Mapping[str, str], base: Mapping[str, HasShape]
) -> Iterator[tuple[list[Rows], str]]:
    """The packed name of what a base has apart, if it has all of it."""
    found: dict[tuple[str, ...], dict[int, str]] = defaultdict(dict)
    for number, part in enumerate(packing.apart):
        pattern = _pattern(part)
        for module, name in bare.items():
            if match := pattern.fullmatch(module):
                found[match.groups()][number] = name
    for numbers, names in found.items():
        whole = [(names[i], 0, base[names[i]].shape[0]) for i in sorted(names)]
        if SWAPPED in packing.apart:
            (name, _, rows) = whole[0]
            yield [(name, rows // 2, rows), (name, 0, rows // 2)], packing.single
        elif len(whole) == len(packing.apart):
            yield whole, packing.single.format(*numbers)


def _pattern(module: str) -> re.Pattern[str]:
    return re.compile(re.escape(module).replace(r"\{\}", r"([0-9]{1,4})"))


def _bounds(shape: tuple[int, ...], parts: int) -> list[int]:
    """Where the parts of a packed weight begin, and the end."""
    rows = shape[0]
    if parts == 4:
        return [0, shape[1], 2 * shape[1], 3 * shape[1], rows]
    return [rows * i // parts for i in range(parts + 1)]
