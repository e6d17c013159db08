"""What the keys of other tools' files end with: which part of a module's change a tensor is.

kohya's scripts and LyCORIS (`lora_up`, `hada_w1_a`, `lokr_w1`, `dora_scale`, `w_norm`), PEFT
(`lora_A`, with the adapter's name or without) and diffusers from its beginnings on (`_lora.down`,
`.lora.down`, `.lora_linear_layer.down`). The spellings are those that ComfyUI's `weight_adapter`
and diffusers' `lora_conversion_utils.py` know; the tests hold this table against them.
"""

import re
from collections.abc import Iterable

ENDS: dict[str, str] = {  # end of a key -> the part that it is
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora_B.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B": "up",
    ".lora_A": "down",
    ".lora.up.weight": "up",
    ".lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".alpha": "alpha",
    ".dora_scale": "dora_scale",
    ".lora_magnitude_vector": "magnitude_vector",
    ".lora_magnitude_vector.weight": "magnitude_vector",
    ".lora_magnitude_vector.default.weight": "magnitude_vector",
    **{f".hada_{part}": part for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{part}": f"k{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    ".diff": "diff",
    ".w_norm": "diff",
    ".diff_b": "diff_b",
    ".b_norm": "diff_b",
    ".set_weight": "set",
}
OF_BIASES = frozenset({"diff_b", "set_b"})  # parts that change a module's bias, not its weight

# other kinds of changes, which are known to be none of a whole checkpoint
OTHERS = re.compile(
    r"\.(?:lora_(?:up|down|mid|A|B)|lora\.(?:up|down))(?:\.|$)"
    r"|\.(?:hada_w[0-9]_[ab]|lokr_w[0-9](?:_[ab])?|oft_blocks|oft_diag|ia3_w)$"
)


def part_of(key: str) -> tuple[str, str] | None:
    """(module as the file calls it, part) of a key; None if its end is not known."""
    # the longest end comes first: "_lora.up.weight" also ends what ".lora.up.weight" does not
    for dot in (index for index, letter in enumerate(key) if letter in "._"):
        if part := ENDS.get(key[dot:]):
            return key[:dot], part
    return None


def holds_factors(keys: Iterable[str]) -> bool:
    """Whether some tensors have the names of low-rank factors or differences, of any tool."""
    return any(
        OTHERS.search(key) or ((found := part_of(key)) and found[1] != "alpha") for key in keys
    )
