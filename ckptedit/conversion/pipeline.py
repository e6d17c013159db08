"""What a diffusers folder has beside its weights: the listing, configs, and its schedule.

All of it is the family's, as it ships with the tool, but for what the weights show otherwise:
channels of an inpainting model, layers and words of a text encoder. What weights do not show, the
checkpoint's markers or the user tell: whether the UNet puts out the noise or a velocity.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ckptedit.errors import Incompatible
from ckptedit.families import Family
from ckptedit.files.bounded import read_json
from ckptedit.files.layout import LISTING

WEIGHTS = {  # component -> its file of weights; others have no weights
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
    "text_encoder_2": "text_encoder_2/model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
}
SCHEDULE = "scheduler/scheduler_config.json"
KINDS = {4: "", 8: "InstructPix2Pix", 9: "Inpaint"}  # channels of the UNet -> a word of the class
LAYER = ".encoder.layers."

Shapes = Mapping[str, tuple[int, ...]]  # of a folder's tensors, by their names there
Config = dict[str, Any]


def configs(
    shapes: Shapes, family: Family, *, prediction: str, no_signal_at_end: bool
) -> dict[str, Config]:
    """File in the folder -> its content.

    no_signal_at_end: whether the schedule is one of zero-terminal-SNR
    Raises Incompatible if no configs ship with the tool, or the UNet takes other channels.
    """
    components = [part for part in WEIGHTS if any(name.startswith(f"{part}.") for name in shapes)]
    found = {f"{part}/config.json": packaged(family, f"{part}/config.json") for part in components}
    kind = ""
    if "unet" in components:
        kind = _with_channels(found["unet/config.json"], shapes, family)
        if prediction == "v_prediction" and family.prediction is None:  # SD2 was trained so at 768
            found["unet/config.json"]["sample_size"] = 96
    for part in components:
        if part.startswith("text_encoder"):
            _with_layers(found[f"{part}/config.json"], shapes, part)
    schedule = packaged(family, SCHEDULE) | {"prediction_type": prediction}
    if no_signal_at_end:
        schedule |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    listing = packaged(family, LISTING)
    listing["_class_name"] = listing["_class_name"].replace("Pipeline", f"{kind}Pipeline")
    lacking = WEIGHTS.keys() - set(components)
    listing = {key: value for key, value in listing.items() if key not in lacking}
    return found | {SCHEDULE: schedule, LISTING: listing}


def packaged(family: Family, name: str) -> Config:
    """One of the family's configs, as it ships with the tool."""
    path = (family.folder or Path()) / name
    if family.folder is None or not path.exists():
        raise Incompatible(f"no {name} of {family.name} ships with the tool, so no folder is made")
    return read_json(path)


def lacking(shapes: Shapes, family: Family) -> list[str]:
    """Components of the family's pipeline that have no tensors here."""
    wanted = [part for part in packaged(family, LISTING) if part in WEIGHTS]
    return [part for part in wanted if not any(name.startswith(f"{part}.") for name in shapes)]


def _with_channels(config: Config, shapes: Shapes, family: Family) -> str:
    """Puts the channels into a UNet's config; the word of the pipeline's class for them."""
    for key, name, axis in (("in_channels", "conv_in", 1), ("out_channels", "conv_out", 0)):
        if shape := shapes.get(f"unet.{name}.weight"):
            config[key] = shape[axis]
    channels = config["in_channels"]
    if channels not in KINDS:
        raise Incompatible(
            f"its UNet takes {channels} channels; pipelines of {family.name} take "
            f"{', '.join(map(str, KINDS))}: it stays as it is, and no folder is made of it"
        )
    return KINDS[channels]


def _with_layers(config: Config, shapes: Shapes, part: str) -> None:
    """Puts the layers, words and places of a text encoder into its config."""
    start = f"{part}.text_model"
    layers = [int(name.split(LAYER)[1].split(".")[0]) for name in shapes
              if name.startswith(start + LAYER)]  # fmt: skip
    if layers:
        config["num_hidden_layers"] = max(layers) + 1
    for key, name in (("vocab_size", "token"), ("max_position_embeddings", "position")):
        if shape := shapes.get(f"{start}.embeddings.{name}_embedding.weight"):
            config[key] = shape[0]


def as_file(config: Config) -> bytes:
    return (json.dumps(config, indent=2) + "\n").encode()
