"""Whether a checkpoint can be run as a model, as far as its header tells, and without torch."""

from ckptedit.errors import BadCheckpoint
from ckptedit.families.detect import detect, spelled
from ckptedit.families.family import Family
from ckptedit.files import Checkpoint

LATENT_CHANNELS = 4  # of all families that can be run
OTHERS = {  # what a UNet with more input channels is, and what it takes in them
    5: "a depth model",
    7: "an upscaler",
    8: "an instruction model (InstructPix2Pix)",
    9: "an inpainting model",
}


def require_runnable(checkpoint: Checkpoint) -> Family:
    """The family of a checkpoint whose UNet this version can run on a prompt alone.

    Raises BadCheckpoint for one that takes more: a picture, a mask, a second text encoder.
    """
    family = detect(checkpoint)
    if family.blocks is None:
        raise BadCheckpoint(
            f"{checkpoint.label}: {family.name} has a transformer instead of a UNet, which this "
            f"version neither trains nor draws with; closed forms erase from it (--method uce)"
        )
    if len(family.readers) > 1:
        raise BadCheckpoint(
            f"{checkpoint.label}: {family.name} reads two text encoders, which this version cannot "
            f"run; commands that only read or edit weights work"
        )
    spelling, prefix = spelled(checkpoint)
    name = prefix + ("input_blocks.0.0.weight" if spelling == "ldm" else "conv_in.weight")
    channels = checkpoint[name].shape[1:2] if name in checkpoint else ()  # of [out, in, h, w]
    if channels and channels[0] != LATENT_CHANNELS:
        what = OTHERS.get(channels[0], "another kind of model")
        raise BadCheckpoint(
            f"{checkpoint.label}: its UNet takes {channels[0]} channels, not {LATENT_CHANNELS}: it "
            f"is {what}, which this version cannot run; those that only read or edit weights work"
        )
    return family
