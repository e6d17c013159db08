"""Something real to work on: the checkpoint that ships with the tool."""

from pathlib import Path

from ckptedit.families.mini import CHECKPOINT
from ckptedit.files import Checkpoint, Written, write_edited


def demo(output: str | Path = "base.safetensors", *, force: bool = False) -> Written:
    """Writes the embedded checkpoint, a latent diffusion model of 24 styles and 20 objects.

    output: a file, or `-` for stdout; force: whether one that exists may be replaced
    Raises OutputExists or WriteFailed.
    """
    with Checkpoint(CHECKPOINT) as shipped:
        return write_edited(output, shipped, {}, force=force)
