"""Writing a model under the names of a single file."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ckptedit.families.family import Family
from ckptedit.families.names import VAE_ATTENTION, translate, unet_table, vae_table
from ckptedit.families.sd1 import SD1
from ckptedit.families.stored import blocks_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def to_ldm(
    unet: "Module", vae: "Module", text_encoder: "Module", *, family: Family = SD1
) -> "dict[str, Tensor]":
    """Names a diffusers UNet, VAE and a transformers CLIPTextModel as SD1's single files do.

    family: whose prefixes to use; its text encoder must be CLIP in the layout of transformers
    returns: contiguous tensors, in the modules' order: UNet, VAE, text encoder

    The text encoder is always written as `...transformer.text_model.*`, which transformers 5.6 and
    later no longer do by themselves and which every other loader expects.
    """
    tensors = {}
    table = unet_table(blocks_of(_config(unet)))
    for name, tensor in unet.state_dict().items():
        tensors[family.unet_prefix + translate(name, table)] = tensor
    table = vae_table(len(_config(vae)["block_out_channels"]), _config(vae)["layers_per_block"])
    for name, tensor in vae.state_dict().items():
        square = f".attn_1.{VAE_ATTENTION.get(_attention(name), '-')}.weight"
        stored = family.vae_prefix + translate(name, table)
        tensors[stored] = tensor[:, :, None, None] if stored.endswith(square) else tensor
    for name, tensor in text_encoder.state_dict().items():
        bare = name.removeprefix("text_model.")
        tensors[f"{family.readers[0].prefix}text_model.{bare}"] = tensor
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _attention(name: str) -> str:
    """The part of a VAE attention that a name belongs to ("to_q"), or ""."""
    _, found, rest = name.partition("mid_block.attentions.0.")
    part = rest.rpartition(".")[0] if found else ""
    return part if part != "group_norm" else ""


def _config(module: "Module") -> Mapping[str, Any]:
    return module.config  # type: ignore[return-value]
