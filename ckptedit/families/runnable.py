"""Whether a checkpoint can be run as a model, as far as its header tells, and without torch."""

from ckptedit.errors import BadCheckpoint
from ckptedit.families.detect import detect, spelled
from ckptedit.families.family import Family
from ckptedit.files import Checkpoint

LATENT_CHANNELS = 4  # of all families that can be run
INSTRUCTED, INPAINTING = 8, 9  # input channels of UNets that take a picture, which may be blank
OTHERS = {5: "a depth model", 7: "an upscaler"}  # what a UNet with more of them is else


def require_runnable(checkpoint: Checkpoint) -> Family:
    """The family of a checkpoint whose UNet this version can run on a prompt alone.

    Raises BadCheckpoint for one that takes more than a picture, and for a transformer.
    """
    family = detect(checkpoint)
    if family.blocks is None:
        raise BadCheckpoint(
            f"{checkpoint.label}: {family.name} has a transformer instead of a UNet, which this "
            f"version neither trains nor draws with; closed forms erase from it (--method uce)"
        )
    channels = input_channels(checkpoint)
    if channels not in (LATENT_CHANNELS, INSTRUCTED, INPAINTING):
        what = OTHERS.get(channels, "another kind of model")
        raise BadCheckpoint(
            f"{checkpoint.label}: its UNet takes {channels} channels, not {LATENT_CHANNELS}: it "
            f"is {what}, which this version cannot run; those that only read or edit weights work"
        )
    return family


def input_channels(checkpoint: Checkpoint) -> int:
    """How many channels a UNet takes; those of latents if its first layer is not there."""
    spelling, prefix = spelled(checkpoint)
    name = prefix + ("input_blocks.0.0.weight" if spelling == "ldm" else "conv_in.weight")
    shape = checkpoint[name].shape[1:2] if name in checkpoint else ()  # of [out, in, h, w]
    return shape[0] if shape else LATENT_CHANNELS
