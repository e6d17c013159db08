"""What the user interfaces call a tensor: the keys of LoRA and `.diff` files.

A1111 and ComfyUI both take `lora_unet_...` and `lora_te_...` with underscores; for SDXL's text
encoders `lora_te1_...` and `lora_te2_...`. What these do not reach (norms of other names, VAE,
language models, OpenCLIP's packed matrices) goes under its own name, ComfyUI's generic form.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from ckptedit.errors import BadCheckpoint
from ckptedit.families import Family, detect, lora_name
from ckptedit.families.detect import HasShape, prefix_of

WEIGHT, BIAS = ".weight", ".bias"
TEXT = re.compile(r"^(?:text_model\.)?((?:embeddings|encoder|final_layer_norm)\..+)")
TEXT_MODULE = re.compile(
    r"lora_te[12]?_text_model_encoder_layers_[0-9]+_(self_attn_(q|k|v|out)_proj|mlp_fc[12])"
)
DIFFUSION = "model.diffusion_model."


class Naming(NamedTuple):
    """Whose names to use. family None: generic ones; prefix: of the UNet in this checkpoint."""

    family: Family | None
    prefix: str

    def module(self, name: str) -> str:
        """The key of the module that a `.weight` or `.bias` belongs to, without a suffix."""
        bare = name.removesuffix(WEIGHT).removesuffix(BIAS)
        if self.family and (text := self._text(bare)):
            return text
        if self.family and bare.startswith(self.prefix):
            try:
                return lora_name(bare, self.family)
            except BadCheckpoint:  # not a part of this architecture
                return generic(bare)
        return generic(bare)

    def _text(self, name: str) -> str | None:
        """The key of a module of a text encoder that has transformers' names; SDXL has two."""
        readers = self.family.readers if self.family else ()
        if not readers or readers[0].layout == "open_clip":
            return None
        two = len(readers) > 1
        first = "lora_te1" if two else "lora_te"
        starts = {readers[0].prefix: first, "text_encoder.": first}
        if two:
            starts["text_encoder_2."] = "lora_te2"
        for prefix, start in starts.items():
            if name.startswith(prefix) and (match := TEXT.match(name.removeprefix(prefix))):
                return f"{start}_text_model_{match[1].replace('.', '_')}"
        return None

    def stem(self, name: str, *, replaced: bool = False) -> str:
        """What a tensor's keys begin with. replaced: for `.set_weight`, which knows no biases."""
        if name.endswith(WEIGHT) or (name.endswith(BIAS) and not replaced):
            return self.module(name)
        return generic(name)


def naming(tensors: Mapping[str, HasShape]) -> Naming:
    """The names for a checkpoint: of its family if it is of a known one, else generic."""
    try:
        family = detect(tensors)
    except BadCheckpoint:
        return Naming(None, "")
    return Naming(family, prefix_of(tensors, family) or "")


def generic(name: str) -> str:
    """ComfyUI's name of any tensor: its own."""
    return name.removeprefix("model.") if name.startswith(DIFFUSION) else name


def loads_in_uis(key: str) -> bool:
    """Whether both A1111 and ComfyUI know a module by this key; of a text encoder, the matrices."""
    return key.startswith("lora_unet_") or bool(TEXT_MODULE.fullmatch(key))
