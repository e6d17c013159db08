"""What a whole checkpoint says of itself in keys that other tools read: what it is, of what made.

ModelSpec 1.0.1 (https://github.com/Stability-AI/ModelSpec): what is there is inherited, what it
asks for and is not there is added. `sd_merge_recipe` and `sd_merge_models` are A1111's (its merger
writes them, others extend them by a `type` of their own, as here): how this file was made, and of
each model behind it the recipe by which that was made, foreign ones among them. Models go by the
sha256 of their tensor data there, which no change of metadata moves, not by that of the whole file
as A1111 has it; so an edit need not read its parent twice.

All of it follows from the ledger: an edit that is taken out takes it along, and what was there
before is put back.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ckptedit.errors import BadCheckpoint, CkptError
from ckptedit.families.detect import detect, spelled
from ckptedit.families.family import Family
from ckptedit.families.own import prediction_of
from ckptedit.files import Checkpoint, ledger
from ckptedit.files.bounded import parse_json, read_json
from ckptedit.files.history import Line, trunk

STAMPED = "ckptedit.stamped"  # key -> what was there before it was written; null: nothing
RECIPE, MODELS = "sd_merge_recipe", "sd_merge_models"
SPEC = "modelspec."
IMPLEMENTATION = f"{SPEC}implementation"
IMPLEMENTATIONS = {  # spelling -> as kohya's scripts (library/sai_model_spec.py) name it
    "ldm": "https://github.com/Stability-AI/generative-models",
    "diffusers": "diffusers",
}
SHORT = {"epsilon": "epsilon", "v_prediction": "v"}

Metadata = Mapping[str, str]


def stamped(
    metadata: Metadata,
    checkpoint: Checkpoint,
    others: Mapping[str, Metadata] | None = None,
    *,
    spelling: str | None = None,
) -> dict[str, str]:
    """Metadata of an edited checkpoint with these keys, made anew.

    metadata:   with the ledger of the output
    checkpoint: what was edited, which tells what it is
    others:     sha256 of the data of a checkpoint that was merged in -> its metadata
    spelling:   of the output, if it is not the checkpoint's
    A checkpoint of no known family gets none; nor does one whose ledger is empty.
    """
    bare = unstamped(metadata)
    try:
        family, lines = detect(checkpoint), ledger.read(metadata)
    except BadCheckpoint:
        return bare
    for sha256, other in (others or {}).items():
        bare = _inheriting(bare, sha256, unstamped(other))
    if not trunk(lines):
        return bare
    new = _model_spec(bare, checkpoint, family, spelling, trunk(lines))
    new |= _merge_keys(bare, lines, _channels(checkpoint, family))
    before = {key: bare.get(key) for key, text in new.items() if bare.get(key) != text}
    return bare | new | {STAMPED: _text(before)}


def unstamped(metadata: Metadata) -> dict[str, str]:
    """Metadata as it was before the first edit, but for the ledger."""
    found = {key: text for key, text in metadata.items() if key != STAMPED}
    for key, text in _table(metadata.get(STAMPED)).items():
        found.pop(key, None)
        if isinstance(text, str):
            found[key] = text
    return found


def _model_spec(
    bare: Metadata, checkpoint: Checkpoint, family: Family, spelling: str | None, lines: list[Line]
) -> dict[str, str]:
    try:
        prediction: str | None = prediction_of(checkpoint, family)
    except CkptError:  # SD2 does not say
        prediction = None
    usual = {
        "sai_model_spec": "1.0.1",
        "architecture": _architecture(family, prediction, _channels(checkpoint, family)),
        "implementation": _implementation(checkpoint, family, spelling),
        "title": f"{family.name}, edited by ckptedit",
    }
    if size := _resolution(family, prediction):
        usual["resolution"] = f"{size}x{size}"
    if prediction:
        usual["prediction_type"] = SHORT[prediction]
    found = {SPEC + key: bare.get(SPEC + key, text) for key, text in usual.items()}
    if spelling:
        found[IMPLEMENTATION] = usual["implementation"]
    if date := lines[-1].get("date"):
        found[SPEC + "date"] = str(date)
    if merged := [each for line in lines for each in _inputs(line)]:
        found[SPEC + "merged_from"] = ", ".join(each[:12] for each in merged)
    return found


def _architecture(family: Family, prediction: str | None, channels: int | None) -> str:
    name = family.labels.architecture
    if family.prediction is None:  # SD2's name says what its UNet puts out
        ends = {"epsilon": "-512", "v_prediction": "-768-v", None: ""}
        name = name.removesuffix("-768-v") + ends[prediction]
    return f"{name}-inpainting" if channels == 9 else name


def _implementation(checkpoint: Checkpoint, family: Family, spelling: str | None) -> str:
    if family.blocks is None:
        return family.labels.implementation
    return IMPLEMENTATIONS[spelling or spelled(checkpoint).spelling]


def _resolution(family: Family, prediction: str | None) -> int | None:
    """Pixels on a side of the pictures that it was trained on."""
    path = family.folder and family.folder / "vae" / "config.json"
    if path is None or not path.is_file() or (family.prediction is None and prediction is None):
        return None
    size = read_json(path).get("sample_size")
    if family.prediction is None and prediction == "v_prediction":
        return 768
    return size if isinstance(size, int) else None


def _channels(checkpoint: Checkpoint, family: Family) -> int | None:
    """What the UNet's first convolution takes: 9 is an inpainting model, 8 InstructPix2Pix."""
    if family.blocks is None:
        return None
    spelling, prefix = spelled(checkpoint)
    first = checkpoint.get(
        prefix + ("input_blocks.0.0.weight" if spelling == "ldm" else "conv_in.weight")
    )
    return first.shape[1] if first and len(first.shape) == 4 else None


def _merge_keys(bare: Metadata, lines: Sequence[Line], channels: int | None) -> dict[str, str]:
    own = trunk(lines)
    models = _table(bare.get(MODELS))
    if bare.get(RECIPE):
        models[_parent(own[0])] = _model(_parsed(bare[RECIPE]))
    for line in lines:
        for sha256 in (_parent(line), *_inputs(line)):
            models.setdefault(sha256, _model(None))
    seen: set[str] = set()
    for before, line in pairwise(own):
        seen.add(_parent(before))
        if _parent(line) not in seen:  # else it was there before: a delta's own entries precede
            models[_parent(line)] = _model(_recipe(before, channels))
    return {RECIPE: _text(_recipe(own[-1], channels)), MODELS: _text(models)}


def _recipe(line: Line, channels: int | None) -> dict[str, Any]:
    options = line.get("options")
    said = options if isinstance(options, Mapping) else {}
    more = [*_inputs(line), None, None]
    return {
        "type": "ckptedit",
        "operation": line.get("operation"),
        "primary_model_hash": _parent(line),
        "secondary_model_hash": more[0],
        "tertiary_model_hash": more[1],
        "interp_method": said.get("method", line.get("operation")),
        "multiplier": said.get("strength", said.get("scale", 1.0)),
        "save_as_half": False,
        "custom_name": None,
        "config_source": None,
        "bake_in_vae": None,
        "discard_weights": None,
        "is_inpainting": channels == 9,
        "is_instruct_pix2pix": channels == 8,
    }


def _model(recipe: Any) -> dict[str, Any]:
    return {"name": None, "legacy_hash": None, "sd_merge_recipe": recipe}


def _parent(line: Line) -> str:
    return str(line.get("parent_sha256"))


def _inputs(line: Line) -> list[str]:
    """The digests of what an entry added to the parent: of edits, or of a delta."""
    inputs = line.get("inputs")
    listed = inputs if isinstance(inputs, list) else []
    found = [str(each["sha256"]) for each in listed if isinstance(each, dict) and "sha256" in each]
    return found + ([str(line["delta_sha256"])] if "delta_sha256" in line else [])


def _inheriting(bare: dict[str, str], sha256: str, other: Metadata) -> dict[str, str]:
    """Metadata with the models of a checkpoint that was merged in, and its own recipe."""
    models = _table(other.get(MODELS))
    if other.get(RECIPE):
        models[sha256] = _model(_parsed(other[RECIPE]))
    if not models:
        return bare
    return {**bare, MODELS: _text(models | _table(bare.get(MODELS)))}


def _table(text: str | None) -> dict[str, Any]:
    found = _parsed(text or "{}")
    return found if isinstance(found, dict) else {}


def _parsed(text: str) -> Any:
    """A table of another tool's; None if it is none."""
    try:
        return parse_json(text.encode(errors="surrogatepass"), "metadata")
    except BadCheckpoint:
        return None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
