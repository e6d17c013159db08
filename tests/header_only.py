"""Files that say what family they are of, and hold next to nothing."""

from pathlib import Path

import numpy as np

from ckptedit.families import Family
from ckptedit.files import Checkpoint, Spec, write


def header_of(family: Family, channels: int, path: Path, spelling: str = "ldm") -> Checkpoint:
    """A file that says it is of a family, with a first convolution that takes these channels."""
    names = {
        "ldm": (family.marker, "input_blocks.0.0.weight", "model.diffusion_model."),
        "diffusers": (
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
            "conv_in.weight",
            "",
        ),
    }
    marker, first, prefix = names[spelling]
    shapes = {prefix + first: (320, channels, 3, 3), prefix + marker: family.marker_shape}
    specs = [Spec(name, "F16", shape) for name, shape in shapes.items()]
    write(path, specs, [np.zeros(spec.shape, np.float16) for spec in specs], {})
    return Checkpoint(path)
