"""What a checkpoint says of itself beside its weights: the configs of a folder, marker tensors.

The architecture is the family's, whatever a folder's configs say: names and shapes are checked
against it. Only facts that weights cannot show are taken from them.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families.family import Family
from ckptedit.files import Checkpoint, escape
from ckptedit.files.bounded import read_json
from ckptedit.files.layout import FOLDER

CONFIGS = {"unet": "config.json", "scheduler": "scheduler_config.json"}
PREDICTIONS = ("epsilon", "v_prediction")
VELOCITY = "v_pred"  # a tensor of this name in a single file: its UNet puts out a velocity
ZERO_SNR = "ztsnr"  # and of this one: its schedule ends in noise, without any signal

RESCALED = "rescale_betas_zero_snr"  # what diffusers calls that

SIZE, STEPS, SHARE = (1, 1024), (1, 100_000), (0.0, 1.0)
RANGES: dict[
    str, dict[str, tuple[float, float]]
] = {  # component -> fact -> the least and greatest value that is meant
    "unet": {"sample_size": SIZE},
    "scheduler": {"num_train_timesteps": STEPS, "beta_start": SHARE, "beta_end": SHARE},
}


def own_config(checkpoint: Checkpoint, component: str) -> dict[str, Any]:
    """The facts of a folder's own config that count; none of a single file.

    component: "unet": sample_size (of latents); "scheduler": betas, timesteps, prediction_type,
    and whether the schedule is stretched to end without a signal
    Raises BadCheckpoint if one is not what it must be.
    """
    if checkpoint.layout.kind != FOLDER or component not in CONFIGS:
        return {}
    path = Path(checkpoint.path) / component / CONFIGS[component]
    if not path.exists():
        return {}
    said, found = read_json(path), {}
    for fact, (least, greatest) in RANGES[component].items():
        if fact in said:
            found[fact] = _number(said[fact], least, greatest, f"{escape(path)}: {fact}")
    if component == "scheduler":
        found |= {k: said[k] for k in ("beta_schedule", "prediction_type") if k in said}
        found[RESCALED] = bool(said.get(RESCALED))
    return found


def _number(value: Any, least: float, greatest: float, what: str) -> float:
    whole = isinstance(least, int)
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not right or not isfinite(value) or not least <= value <= greatest:
        kind = "a whole number" if whole else "a number"
        raise BadCheckpoint(f"{what} must be {kind} from {least} to {greatest}, not {value!r:.40}")
    found: float = value
    return found


def prediction_of(checkpoint: Checkpoint, family: Family, asked: str = "auto") -> str:
    """What a checkpoint's UNet puts out: "epsilon", the noise, or "v_prediction", a velocity.

    asked: by the user; "auto": what a folder's scheduler or a marker tensor says, else the family's
    Raises BadParam if it cannot be known, BadCheckpoint for a kind that is neither.
    """
    if asked != "auto":
        if asked not in PREDICTIONS:
            known = ", ".join(("auto", *PREDICTIONS))
            raise BadParam(f"no prediction is called {asked!r}; there are: {known}")
        return asked
    said = own_config(checkpoint, "scheduler").get("prediction_type")
    if said is None:
        said = "v_prediction" if _has_marker(checkpoint, VELOCITY) else family.prediction
    if said is None:
        raise BadParam(
            f"{checkpoint.label}: {family.name} files do not say whether their UNet predicts the "
            f"noise or a velocity; say --prediction epsilon (512-base) or v_prediction (768-v)"
        )
    if said not in PREDICTIONS:
        raise BadCheckpoint(
            f"{checkpoint.label}: its scheduler says prediction_type {escape(said)}; supported "
            f"are {' and '.join(PREDICTIONS)}"
        )
    return str(said)


def zero_snr(checkpoint: Checkpoint) -> bool:
    """Whether a marker tensor, or a folder's scheduler, says that the schedule of its training
    ended without a signal."""
    told: bool = own_config(checkpoint, "scheduler").get(RESCALED, False)
    return told or _has_marker(checkpoint, ZERO_SNR)


def _has_marker(tensors: Mapping[str, Any], marker: str) -> bool:
    return any(name in tensors for name in (marker, f"model.{marker}"))
