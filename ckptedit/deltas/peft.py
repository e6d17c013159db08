"""A LoRA under the keys of PEFT, as diffusers' `save_lora_weights` writes them.

`unet.` or `text_encoder.text_model.` and diffusers' module, then `.lora_A.weight` [r, in] and
`.lora_B.weight` [out, r]; without an alpha the change is B @ A. Of a packed q, k and v the rows of
B come apart, each third with the same A.

diffusers (0.42, `convert_state_dict_to_diffusers`) reads A and B of a text encoder only where one
of its attention's matrices is among them; an encoder without gets the older
`.lora_linear_layer.down.weight` and `.up.weight`, which it always reads.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ckptedit.deltas.change import LowRank
from ckptedit.deltas.delta import Delta
from ckptedit.deltas.entry import lora_tensors
from ckptedit.deltas.keys import WEIGHT
from ckptedit.families import FAMILIES
from ckptedit.families.spelling import common_names
from ckptedit.files import Spec

LOADED = ("unet", "text_encoder", "text_encoder_2")  # components that load_lora_weights knows
KEYS = ("kohya", "peft")
ATTENTION = (".q_proj", ".k_proj", ".v_proj", ".out_proj")
OLDER = ("lora_linear_layer.down", "lora_linear_layer.up")


class Place(NamedTuple):
    """module: diffusers'; third: of the rows of a packed matrix, 0, 1 or 2; None: all of them;
    ends: of the keys of the two factors."""

    module: str
    third: int | None
    ends: tuple[str, str] = ("lora_A", "lora_B")


def places(delta: Delta) -> Mapping[str, list[Place]]:
    """Name in the base -> the modules that its change belongs to; not of those without one."""
    found: dict[str, list[Place]] = {}
    if delta.family not in FAMILIES:
        return found
    matrices = [name for name, entry in delta.entries.items()
                if name.endswith((WEIGHT, "_weight")) and len(entry.shape) > 1]  # fmt: skip
    for common, source in common_names(matrices, FAMILIES[delta.family]):
        component, _, rest = common.partition(".")
        if component in LOADED:
            inner = "text_model." if component != "unet" else ""
            module = f"{component}.{inner}{rest.removesuffix(WEIGHT)}"
            found.setdefault(source.name, []).append(Place(module, source.part))
    modules = [place.module for each in found.values() for place in each]
    read = {"unet", *(m.partition(".")[0] for m in modules if m.endswith(ATTENTION))}
    return {
        name: [place if place.module.partition(".")[0] in read else place._replace(ends=OLDER)
               for place in each]
        for name, each in found.items()
    }  # fmt: skip


def peft_tensors(
    places: list[Place], factors: LowRank, shape: tuple[int, ...]
) -> Iterator[tuple[Spec, NDArray[Any]]]:
    """The tensors of a low-rank change of a weight of this shape."""
    for module, third, ends in places:
        size, up = shape, factors.up
        if third is not None:
            size, up = (shape[0] // 3, *shape[1:]), np.split(factors.up, 3)[third]
        (above, b), (below, a), _ = lora_tensors(module, LowRank(up, factors.down), size)
        yield Spec(f"{module}.{ends[0]}.weight", below.dtype, below.shape), a
        yield Spec(f"{module}.{ends[1]}.weight", above.dtype, above.shape), b
