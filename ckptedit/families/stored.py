"""Where a checkpoint keeps each parameter of a component, whichever spelling it uses.

Loading through diffusers is silent about missing weights; here every parameter is found, or it is
an error that names it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ckptedit.errors import BadCheckpoint
from ckptedit.families.detect import HasShape, spelled
from ckptedit.families.family import Blocks, Family, Reader
from ckptedit.families.names import VAE_ATTENTION, translate, unet_table, vae_table
from ckptedit.files import escape

Component = Literal["unet", "vae", "text_encoder", "text_encoder_2"]

UNUSED = re.compile(  # parts of a text encoder or VAE that making a picture does not need
    r"position_ids$|logit_scale$|text_projection(\.weight)?$|attn_mask$|^loss\.|^model_ema\."
)
OLD_VAE_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

OPEN_CLIP = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
OPEN_CLIP_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
PROJECTION = "text_projection.weight"  # of a pooled vector


@dataclass(frozen=True, slots=True)
class Source:
    """A stored tensor, or one third of its rows where q, k and v are packed (part 0, 1, 2).

    turned: whether it is the transpose, as OpenCLIP has the projection of its pooled vector
    """

    name: str
    part: int | None = None
    turned: bool = False


def sources(
    tensors: Mapping[str, HasShape],
    family: Family,
    component: Component,
    *,
    parameters: Iterable[str],
    config: Mapping[str, Any],
) -> dict[str, Source]:
    """Finds the stored tensor behind every parameter of a component.

    parameters: names as diffusers or transformers has them ("text_model." or not)
    config:     the component's config, which tells how its blocks are counted
    Raises BadCheckpoint that names what is missing, or what is there and belongs to another
    architecture.
    """
    prefix = component_prefix(tensors, family, component)
    spell = _speller(tensors, family, component, config)
    found, missing = {}, []
    for parameter in parameters:
        options = [replace(s, name=prefix + s.name) for s in spell(parameter)]
        source = next((option for option in options if option.name in tensors), None)
        if source is None:
            missing.append(options[0].name)
        else:
            found[parameter] = source
    label = getattr(tensors, "label", "the checkpoint")
    if missing and not found and component.startswith("text_encoder"):
        raise BadCheckpoint(
            f"{label} holds no {component}; give the whole model, or, to project and to closed "
            "forms, --embeddings FILE"
        )
    if missing:
        raise BadCheckpoint(f"{label}: the {component} lacks {_some(missing)}")
    used = {source.name for source in found.values()}
    extra = [
        name
        for name in tensors
        if name.startswith(prefix) and name not in used and not _unused(name, prefix, config)
    ]
    if extra and prefix:
        raise BadCheckpoint(f"{label}: the {component} of {family.name} has no {_some(extra)}")
    return found


def component_prefix(tensors: Mapping[str, HasShape], family: Family, component: Component) -> str:
    """What stands before a component's names in this checkpoint."""
    spelling, prefix = spelled(tensors)
    if component == "unet":
        return prefix
    if spelling == "diffusers":
        return f"{component}."
    return family.vae_prefix if component == "vae" else reader_of(family, component).prefix


def reader_of(family: Family, component: str) -> Reader:
    """What is known of one of a family's text encoders."""
    return next(reader for reader in family.readers if reader.component == component)


def _speller(
    tensors: Mapping[str, HasShape], family: Family, component: str, config: Mapping[str, Any]
) -> Any:
    """A function from a parameter's name to the stored names it may have, the usual one first."""
    ldm = spelled(tensors).spelling == "ldm"
    if component.startswith("text_encoder"):
        packed = ldm and reader_of(family, component).layout == "open_clip"
        return _open_clip if packed else _clip
    if not ldm:
        return _old_and_new if component == "vae" else lambda name: [Source(name)]
    if component == "unet":
        table = unet_table(blocks_of(config))
    else:
        table = vae_table(len(config["block_out_channels"]), config["layers_per_block"])
    return lambda name: [Source(translate(name, table))]


def blocks_of(config: Mapping[str, Any]) -> Blocks:
    """How a UNet of this diffusers config counts its blocks."""
    attention = tuple("CrossAttn" in kind for kind in config["down_block_types"])
    return Blocks(layers=config["layers_per_block"], attention=attention)


def _clip(name: str) -> list[Source]:
    bare = name.removeprefix("text_model.")
    own = [] if bare == PROJECTION else [Source(f"text_model.{bare}")]
    return [*own, Source(bare)]


def _old_and_new(name: str) -> list[Source]:
    for new in VAE_ATTENTION:
        if f".mid_block.attentions.0.{new}." in name and new in OLD_VAE_ATTENTION:
            return [Source(name), Source(name.replace(new, OLD_VAE_ATTENTION[new]))]
    return [Source(name)]


def _open_clip(name: str) -> list[Source]:
    bare = name.removeprefix("text_model.")
    if bare == PROJECTION:
        return [Source("text_projection", turned=True), Source(PROJECTION)]
    if bare in OPEN_CLIP_ENDS:
        return [Source(OPEN_CLIP_ENDS[bare])]
    match = re.fullmatch(r"encoder\.layers\.([0-9]{1,4})\.(.+)\.(weight|bias)", bare)
    if not match:
        raise BadCheckpoint(f"{name!r} is not a parameter of a CLIP text encoder")
    block = f"transformer.resblocks.{match[1]}"
    if packed := re.fullmatch(r"self_attn\.([qkv])_proj", match[2]):
        return [Source(f"{block}.attn.in_proj_{match[3]}", "qkv".index(packed[1]))]
    return [Source(f"{block}.{OPEN_CLIP[match[2]]}.{match[3]}")]


def _unused(name: str, prefix: str, config: Mapping[str, Any]) -> bool:
    bare = name.removeprefix(prefix)
    if UNUSED.search(bare):
        return True
    # SD2 conditions on the layer before the last: its config leaves the last one out
    layer = re.match(r"transformer\.resblocks\.([0-9]{1,4})\.", bare)
    return layer is not None and int(layer[1]) >= config.get("num_hidden_layers", 0)


def _some(names: list[str]) -> str:
    shown = ", ".join(map(escape, names[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
