"""Transformers that denoise as names and shapes, in both spellings, without a single weight.

Single files are spelled here after their authors' modules; diffusers' own converters, which turn
them into what its models are made of, say whether that is right.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from diffusers import (
    ChromaTransformer2DModel,
    CosmosTransformer3DModel,
    FluxTransformer2DModel,
)
from diffusers.loaders import single_file_utils as converters
from diffusers.models.condition_embedders import AnimaTextConditioner

Shapes = dict[str, tuple[int, ...]]

COSMOS = {  # diffusers' module -> Cosmos-Predict2's, which Anima's trunk is named as
    "time_embed.t_embedder": "t_embedder.1",
    "time_embed.norm": "t_embedding_norm",
    "transformer_blocks": "blocks",
    "norm1.linear_": "adaln_modulation_self_attn.",
    "norm2.linear_": "adaln_modulation_cross_attn.",
    "norm3.linear_": "adaln_modulation_mlp.",
    "attn1": "self_attn",
    "attn2": "cross_attn",
    "to_q": "q_proj",
    "to_k": "k_proj",
    "to_v": "v_proj",
    "to_out.0": "output_proj",
    "norm_q": "q_norm",
    "norm_k": "k_norm",
    "ff.net.0.proj": "mlp.layer1",
    "ff.net.2": "mlp.layer2",
    "patch_embed.proj": "x_embedder.proj.1",
    "norm_out.linear_": "final_layer.adaln_modulation.",
    "proj_out": "final_layer.linear",
}


def diffusers_shapes(family: str) -> Shapes:
    """A full-size model's parameters, without prefix."""
    with torch.device("meta"):
        model: Any = {
            "flux1": lambda: FluxTransformer2DModel(guidance_embeds=True),
            "chroma": ChromaTransformer2DModel,
            "anima": lambda: CosmosTransformer3DModel(
                num_attention_heads=16, extra_pos_embed_type=None
            ),
        }[family]()
    return {name: tuple(weight.shape) for name, weight in model.state_dict().items()}


def single_shapes(family: str) -> Shapes:
    """The same model's, as its authors' file has them, without prefix."""
    return dict({"flux1": _flux, "chroma": _chroma, "anima": _anima}[family]())


def converted(family: str) -> Shapes:
    """What diffusers makes of the names of the single file."""
    convert: Callable[..., Any] = {
        "flux1": converters.convert_flux_transformer_checkpoint_to_diffusers,
        "chroma": converters.convert_chroma_transformer_checkpoint_to_diffusers,
        "anima": converters.convert_cosmos_transformer_checkpoint_to_diffusers,
    }[family]
    prefix = "net." if family == "anima" else ""
    given = {
        prefix + name: torch.empty(shape, device="meta")
        for name, shape in single_shapes(family).items()
        if not name.startswith("llm_adapter.")
    }
    return {name: tuple(weight.shape) for name, weight in convert(given).items()}


def _linear(name: str, out: int, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, width)
    yield f"{name}.bias", (out,)


def _trunk(*, modulated: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What Flux.1 and Chroma have in common, d = 3072."""
    yield from _linear("img_in", 3072, 64)
    yield from _linear("txt_in", 3072, 4096)
    for i in range(19):
        for stream in ("img", "txt"):
            start = f"double_blocks.{i}.{stream}"
            if modulated:
                yield from _linear(f"{start}_mod.lin", 6 * 3072, 3072)
            yield from _linear(f"{start}_attn.qkv", 3 * 3072, 3072)
            yield f"{start}_attn.norm.query_norm.scale", (128,)
            yield f"{start}_attn.norm.key_norm.scale", (128,)
            yield from _linear(f"{start}_attn.proj", 3072, 3072)
            yield from _linear(f"{start}_mlp.0", 4 * 3072, 3072)
            yield from _linear(f"{start}_mlp.2", 3072, 4 * 3072)
    for i in range(38):
        start = f"single_blocks.{i}"
        if modulated:
            yield from _linear(f"{start}.modulation.lin", 3 * 3072, 3072)
        yield from _linear(f"{start}.linear1", 7 * 3072, 3072)
        yield from _linear(f"{start}.linear2", 3072, 5 * 3072)
        yield f"{start}.norm.query_norm.scale", (128,)
        yield f"{start}.norm.key_norm.scale", (128,)
    yield from _linear("final_layer.linear", 64, 3072)


def _flux() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _trunk(modulated=True)
    for entry, width in (("time_in", 256), ("vector_in", 768), ("guidance_in", 256)):
        yield from _linear(f"{entry}.in_layer", 3072, width)
        yield from _linear(f"{entry}.out_layer", 3072, 3072)
    yield from _linear("final_layer.adaLN_modulation.1", 2 * 3072, 3072)


def _chroma() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _trunk(modulated=False)
    yield from _linear("distilled_guidance_layer.in_proj", 5120, 64)
    yield from _linear("distilled_guidance_layer.out_proj", 3072, 5120)
    for i in range(5):
        yield from _linear(f"distilled_guidance_layer.layers.{i}.in_layer", 5120, 5120)
        yield from _linear(f"distilled_guidance_layer.layers.{i}.out_layer", 5120, 5120)
        yield f"distilled_guidance_layer.norms.{i}.scale", (5120,)


def _anima() -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, shape in diffusers_shapes("anima").items():
        for theirs, ours in COSMOS.items():
            name = name.replace(theirs, ours)
        yield name, shape
    with torch.device("meta"):
        adapter = AnimaTextConditioner()
    for name, weight in adapter.state_dict().items():
        yield f"llm_adapter.{name}", tuple(weight.shape)
