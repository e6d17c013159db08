"""The K/V weights: the matrices that read text, and the only ones in a UNet that do."""

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from ckptedit.errors import BadCheckpoint
from ckptedit.families.detect import FAMILIES, HasShape, detect, prefix_of
from ckptedit.families.family import Family, Matrix
from ckptedit.families.names import inverse, translate, unet_table
from ckptedit.families.roles import block_role
from ckptedit.files import escape

LIVE, COPY = "model.", "model_ema."
PIECE = re.compile(r"\[([kv])\]$")  # after the name of a matrix: its rows that are keys, or values

LDM_MODULES = (
    "input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "label_emb.", "out.",
)  # fmt: skip


class KV(NamedTuple):
    """A matrix that reads text, or the rows of one that do.

    name: as stored; block: "IN01", "M00", "OUT03", "L27"; role: "k" or "v"
    rows: from and to, where one matrix holds more than these; None: all
    """

    name: str
    block: str
    role: str
    rows: tuple[int, int] | None = None

    @property
    def key(self) -> str:
        """Its name, and which piece of the matrix it is if it is not all of it."""
        return self.name if self.rows is None else f"{self.name}[{self.role}]"


def kv_weights(
    tensors: Mapping[str, HasShape], family: Family | None = None, *, pooled: bool = False
) -> list[KV]:
    """Lists the matrices [out, d] that read the tokens of the text, in file order.

    family: default: detected
    pooled: those instead that read one vector of the whole prompt
    Copies outside the denoiser (the averaged weights `model_ema.*` of old files) are not among
    them. Raises BadCheckpoint for one of another width, or that cannot be cut into its parts.
    """
    family = family or detect(tensors)
    prefix = prefix_of(tensors, family) or ""
    matrices = [matrix for matrix in family.matrices if matrix.pooled == pooled]
    layers = family.blocks.layers if family.blocks else 2
    found = []
    for name in tensors:
        for matrix in matrices if name.startswith(prefix) else ():
            if re.fullmatch(matrix.names, name[len(prefix) :]):
                rows = _rows(name, tensors[name], matrix, None if pooled else family.text_width)
                found.append(KV(name, block_role(name, layers=layers).block, matrix.role, rows))
    return found


def kv_role(key: str) -> str:
    """What a matrix that reads text makes of it: "k", "v", or "" for any other tensor.

    key: of a `KV`, or the name of a parameter in either spelling, with or without prefix
    """
    if match := PIECE.search(key):
        return match[1]
    return next((role for names, role in _known() if names.fullmatch(key)), "")


@cache
def _known() -> tuple[tuple[re.Pattern[str], str], ...]:
    """What any family's matrices that read text are called, with prefix; and their role."""
    return tuple(
        (re.compile(f"(?:{'|'.join(map(re.escape, f.prefixes))})(?:{m.names})"), m.role)
        for f in FAMILIES.values()
        for m in f.matrices
    )


def _rows(name: str, info: HasShape, matrix: Matrix, width: int | None) -> tuple[int, int] | None:
    shape = list(info.shape)
    if len(shape) != 2 or (width and shape[1] != width):
        raise BadCheckpoint(f"{escape(name)} has shape {shape}, expected [out, {width or 'p'}]")
    if matrix.rows is None:
        return None
    part, parts = matrix.rows
    if shape[0] % parts:
        raise BadCheckpoint(
            f"{escape(name)} has {shape[0]} rows, which are not {parts} equal parts"
        )
    each = shape[0] // parts
    return part * each, (part + 1) * each


def average_name(name: str) -> str:
    """Where a single file has the averaged copy of a weight: its name without the points.

    As the LitEma module of latent diffusion (Rombach et al., 2022) names its buffers.
    """
    return COPY + name.removeprefix(LIVE).replace(".", "") if name.startswith(LIVE) else ""


def lora_name(name: str, family: Family) -> str:
    """Spells a UNet weight as LoRA loaders know it: "lora_unet_down_blocks_0_attentions_0_..."

    name: as stored, in either spelling, with or without prefix; ".weight" is dropped

    For SD1 and SD2, A1111, ComfyUI and kohya's scripts take diffusers' module names with
    underscores; for SDXL, and for all that have no UNet, the file's own.
    """
    for prefix in family.prefixes:
        if name.startswith(prefix):
            module = name.removeprefix(prefix).removesuffix(".weight")
            break
    if family.blocks is None:
        return "lora_unet_" + module.replace(".", "_")
    table = unet_table(family.blocks)
    is_ldm = module.startswith(LDM_MODULES)
    if family.lora_names == "ldm" and not is_ldm:
        module = translate(module, table)
    elif family.lora_names == "diffusers" and is_ldm:
        module = translate(module, inverse(table))
    return "lora_unet_" + module.replace(".", "_")
