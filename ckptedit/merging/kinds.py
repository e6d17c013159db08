"""Models that put out different things: their weights have nothing to say to each other."""

from collections.abc import Iterable
from typing import Any

from ckptedit.errors import BadCheckpoint, BadParam, Incompatible
from ckptedit.families import detect
from ckptedit.families.own import prediction_of, zero_snr
from ckptedit.files import Checkpoint

FIRST = ("input_blocks.0.0.weight", "conv_in.weight")
SAID = {"epsilon": "the noise", "v_prediction": "a velocity"}


def require_one_kind(base: Checkpoint, edits: Iterable[Any]) -> None:
    """Raises Incompatible if a checkpoint among the edits predicts something else than the base.

    What neither says, nor its family, is not known, and let through: SD2's files do not say it.
    Nor does a part of a model without its first convolution, such as the K/V weights of an ESD.
    """
    predicts, ends = _kind(base)
    for edit in edits:
        if not isinstance(edit, Checkpoint):
            continue
        other, end = _kind(edit)
        if predicts and other and predicts != other:
            raise Incompatible(
                f"{base.label} predicts {SAID[predicts]} and {edit.label} {SAID[other]}: a merge "
                f"of the two predicts neither; --force merges them all the same"
            )
        if predicts and other and ends != end:
            one, two = (base, edit) if ends else (edit, base)
            raise Incompatible(
                f"{one.label} was trained with a schedule that ends in pure noise (ztsnr) and "
                f"{two.label} was not; --force merges them all the same"
            )


def _kind(checkpoint: Checkpoint) -> tuple[str | None, bool]:
    """What it predicts, if that is known; and whether its schedule ends without a signal."""
    if not any(name.endswith(FIRST) for name in checkpoint):
        return None, False
    try:
        return prediction_of(checkpoint, detect(checkpoint)), zero_snr(checkpoint)
    except (BadCheckpoint, BadParam):
        return None, False
