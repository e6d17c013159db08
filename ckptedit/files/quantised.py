"""Whether a checkpoint stores codes instead of weights: scaled fp8, 4-bit and 8-bit formats.

Such a file has, beside the codes, tensors that turn them into weights. Adding to codes, or
comparing them, gives numbers that mean nothing, so every command that reads or edits values refuses
it. Plain fp8, without scales, is a float format as any other.
"""

import re
from typing import TYPE_CHECKING

from ckptedit.errors import Incompatible
from ckptedit.files.names import escape

if TYPE_CHECKING:
    from ckptedit.files.checkpoint import Checkpoint

METADATA = "_quantization_metadata"  # ComfyUI's: JSON of layers and their formats

MARKERS = re.compile(
    r"(?:^|\.)(?:"
    r"weight_scale(?:_2|_inv)?|scale_weight|scale_input|input_scale|pre_quant_scale"  # scaled fp8
    r"|scaled_fp8|comfy_quant|weight_scales|weight_packed|weight_zero_point"  # ComfyUI, compressed
    r"|absmax|nested_absmax|quant_map|nested_quant_map|SCB|quant_state\..+"  # bitsandbytes
    r"|qweight|qzeros|wscales|wtscale"  # GPTQ, AWQ, SVDQuant
    r")$"
)


def quantised(checkpoint: "Checkpoint") -> str | None:
    """What says that a checkpoint holds codes, escaped; None if it holds weights."""
    if METADATA in checkpoint.metadata:
        return f"its metadata has {METADATA}"
    found = next((name for name in checkpoint if MARKERS.search(name)), None)
    return None if found is None else f"it has the tensor {escape(found)}"


def require_weights(*checkpoints: "Checkpoint") -> None:
    """Raises Incompatible if one of them holds codes."""
    for checkpoint in checkpoints:
        if reason := quantised(checkpoint):
            raise Incompatible(
                f"{checkpoint.label} is quantised ({reason}): its numbers are codes, not weights; "
                "use the file in F16, BF16 or plain F8 that it was made from"
            )
