"""The K/V weights: the only ones in a UNet that read text."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from ckptedit.errors import BadCheckpoint
from ckptedit.families.detect import HasShape, detect, spelled
from ckptedit.families.family import UNET_PREFIXES, Family
from ckptedit.families.names import inverse, translate, unet_table
from ckptedit.families.roles import block_role
from ckptedit.files import escape

LIVE, COPY = "model.", "model_ema."
KV_NAME = re.compile(r"\battn2\.to_([kv])\.weight$")

LDM_MODULES = (
    "input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "label_emb.", "out.",
)  # fmt: skip


class KV(NamedTuple):
    """name: as stored; block: "IN01", "M00", "OUT03"; role: "k" or "v"."""

    name: str
    block: str
    role: str


def kv_weights(tensors: Mapping[str, HasShape], family: Family | None = None) -> list[KV]:
    """Lists the cross-attention weights [out, d] of a checkpoint, in file order.

    family: default: detected
    Copies outside the UNet (the averaged weights `model_ema.*` of old files) are not among them.
    """
    family, prefix = family or detect(tensors), spelled(tensors).prefix
    found = []
    for name, info in tensors.items():
        if not (match := KV_NAME.search(name)) or not name.startswith(prefix):
            continue
        if len(info.shape) != 2 or info.shape[1] != family.text_width:
            shape = list(info.shape)
            raise BadCheckpoint(
                f"{escape(name)} has shape {shape}, expected [out, {family.text_width}]"
            )
        place = block_role(name, layers=family.blocks.layers)
        found.append(KV(name, place.block, match[1]))
    return found


def average_name(name: str) -> str:
    """Where a single file has the averaged copy of a weight: its name without the points.

    As the LitEma module of latent diffusion (Rombach et al., 2022) names its buffers.
    """
    return COPY + name.removeprefix(LIVE).replace(".", "") if name.startswith(LIVE) else ""


def lora_name(name: str, family: Family) -> str:
    """Spells a UNet weight as LoRA loaders know it: "lora_unet_down_blocks_0_attentions_0_..."

    name: as stored, in either spelling, with or without prefix; ".weight" is dropped

    For SD1 and SD2, A1111, ComfyUI and kohya's scripts take diffusers' module names with
    underscores; for SDXL the single file's.
    """
    for prefix in UNET_PREFIXES:
        if name.startswith(prefix):
            module = name.removeprefix(prefix).removesuffix(".weight")
            break
    table = unet_table(family.blocks)
    is_ldm = module.startswith(LDM_MODULES)
    if family.lora_names == "ldm" and not is_ldm:
        module = translate(module, table)
    elif family.lora_names == "diffusers" and is_ldm:
        module = translate(module, inverse(table))
    return "lora_unet_" + module.replace(".", "_")
