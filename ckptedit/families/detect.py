"""Which family a checkpoint belongs to, from its header alone."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from ckptedit.errors import BadCheckpoint
from ckptedit.families.anima import ANIMA
from ckptedit.families.chroma import CHROMA
from ckptedit.families.family import UNET_PREFIXES, Family
from ckptedit.families.flux1 import FLUX1
from ckptedit.families.mini import MINI
from ckptedit.families.names import inverse, translate, unet_table
from ckptedit.families.sd1 import SD1
from ckptedit.families.sd2 import SD2
from ckptedit.families.sdxl import SDXL
from ckptedit.families.sdxl_refiner import SDXL_REFINER

FAMILIES: dict[str, Family] = {
    family.name: family for family in (SD1, SD2, SDXL, SDXL_REFINER, ANIMA, FLUX1, CHROMA, MINI)
}

NOT_YET = {  # a tensor of an architecture without attn2 -> what users call it
    "joint_blocks.0.": "Stable Diffusion 3",
    "double_blocks.0.": "Flux.2 or a part of Flux.1",
    "single_transformer_blocks.0.": "Flux.2 or a part of Flux.1",
    "transformer_blocks.0.attn.add_k_proj": "Stable Diffusion 3 or Qwen-Image",
    "context_refiner.0.": "Z-Image or Lumina 2",
    "txtfusion.": "Krea 2",
}


READS_TEXT = "attn2.to_k.weight"


class HasShape(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


class Spelled(NamedTuple):
    """spelling: whose names; prefix: what stands before the UNet's names."""

    spelling: Literal["ldm", "diffusers"]
    prefix: str


def spelled(tensors: Mapping[str, HasShape]) -> Spelled:
    """Tells a single file's names from a diffusers folder's, with or without the other components.

    Raises BadCheckpoint if there is no UNet with cross-attention.
    """
    for prefix in UNET_PREFIXES:
        for name in tensors:
            if name.startswith((f"{prefix}input_blocks.", f"{prefix}output_blocks.")):
                return Spelled("ldm", prefix)
            if name.startswith((f"{prefix}down_blocks.", f"{prefix}up_blocks.")):
                return Spelled("diffusers", prefix)
    raise BadCheckpoint(f"{_label(tensors)} {_what_else(tensors)}")


def detect(tensors: Mapping[str, HasShape]) -> Family:
    """Finds the family by the shape of one weight, most often of cross-attention.

    tensors: a Checkpoint, or any mapping of names to things with a shape; no tensor is read
    """
    for family in FAMILIES.values():
        if prefix_of(tensors, family) is not None:
            return family
    spelled(tensors)
    widths = sorted(
        {
            info.shape[-1]
            for name, info in tensors.items()
            if name.endswith(READS_TEXT) and info.shape
        }
    )
    if not widths:
        raise BadCheckpoint(f"{_label(tensors)} has no cross-attention: its UNet reads no text")
    unets = [family for family in FAMILIES.values() if family.blocks]
    known = ", ".join(f"{f.name} (text width {f.text_width})" for f in unets)
    raise BadCheckpoint(
        f"{_label(tensors)} is of no known family: its cross-attention reads text of width "
        f"{' and '.join(map(str, widths))}; known are {known}"
    )


def prefix_of(tensors: Mapping[str, HasShape], family: Family) -> str | None:
    """What stands before the names of a denoiser of this family; None if there is no such one."""
    for prefix in family.prefixes:
        for marker in markers(family):
            found = tensors.get(prefix + marker)
            if found is not None and tuple(found.shape) == family.marker_shape:
                return prefix
    return None


def markers(family: Family) -> tuple[str, str]:
    """The weight that tells a family, as a single file and as diffusers call it."""
    if family.blocks is None:
        return family.marker, family.renamed
    return family.marker, translate(family.marker, inverse(unet_table(family.blocks)))


def _label(tensors: Mapping[str, HasShape]) -> str:
    return str(getattr(tensors, "label", "the checkpoint"))


def _what_else(tensors: Mapping[str, HasShape]) -> str:
    for part, architecture in NOT_YET.items():
        if any(part in name for name in tensors):
            return (
                f"looks like {architecture}, which is not supported: it is of no family known here"
            )
    if any(".self_attn." in name for name in tensors):
        return "has no cross-attention weights: it looks like a language model or a text encoder"
    return "has no cross-attention weights (attn2.to_k, attn2.to_v): it is no text-to-image UNet"
