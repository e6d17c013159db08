"""`export` as a function: a delta for other tools, or a whole checkpoint in the other spelling."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ckptedit.conversion.convert import SPELLINGS, Converted, convert, other_format
from ckptedit.deltas import Delta
from ckptedit.deltas.export import MODULES, Exported
from ckptedit.deltas.export import export as export_delta
from ckptedit.deltas.foreign import require_whole
from ckptedit.errors import BadParam, Incompatible
from ckptedit.files import Checkpoint, opened
from ckptedit.progress import Track, silent

FORMATS = (*MODULES, *SPELLINGS)


def export(
    file: str | Path | Checkpoint | Delta,
    output: str | Path,
    *,
    format: str | None = None,
    rank: int | None = None,
    keys: str | None = None,
    tokenizer: str | Path | None = None,
    prediction: str | None = None,
    base_model: str | Sequence[str] = (),
    force: bool = False,
    track: Track = silent,
) -> Exported | Converted:
    """Writes a delta for other tools, or a whole checkpoint in the other spelling.

    file:      a delta or a checkpoint, by name or open
    format:    of a delta "lora": factors throughout; "lycoris": differences throughout, nothing
               lost; of a checkpoint "diffusers": a new folder; "single": one file with the names of
               latent diffusion; None: "lora", or the spelling that the checkpoint has not
    rank:      of a lora: 1 or more; None keeps each change's own, which a dense change may not have
    keys:      of a lora: "kohya" or "peft"; None: kohya
    tokenizer: of a folder: its files' folder; None: beside the checkpoint, else it is left out
    prediction: of a folder: what the UNet puts out, "epsilon" or "v_prediction"; None, "auto": as
               the checkpoint says, else its family
    base_model: for a folder's card: what it was made from, as the hub calls it
    Raises BadParam for what is not of this sort of file, Incompatible if a change has no low rank,
    nothing is left to write, or the checkpoint has no such form, and what `write` raises.
    """
    with ExitStack() as stack:
        given = file if isinstance(file, Delta) else stack.enter_context(opened(file))
        whole = isinstance(given, Checkpoint) and is_whole(given)
        if format is None:
            format = usual_format(given) if isinstance(given, Checkpoint) else "lora"
        of_folder = {
            "--tokenizer": tokenizer,
            "--prediction": prediction,
            "--base-model": base_model or None,
        }
        idle = {"--rank": rank, "--keys": keys} if whole else of_folder
        _check(given.label, format, whole, idle | (of_folder if format == "single" else {}))
        if not isinstance(given, Checkpoint) or not whole:
            return export_delta(
                given, output, format=format, rank=rank, keys=keys or "kohya", force=force,
                track=track,
            )  # fmt: skip
        return convert(
            given, output, format, tokenizer=Path(tokenizer) if tokenizer else None,
            prediction=prediction or "auto", force=force, track=track,
            base_model=[base_model] if isinstance(base_model, str) else base_model,
        )  # fmt: skip


def is_whole(checkpoint: Checkpoint) -> bool:
    """Whether a file is a checkpoint, and no delta, LoRA, or one like it."""
    try:
        require_whole(checkpoint)
    except Incompatible:
        return False
    return True


def usual_format(checkpoint: Checkpoint) -> str:
    """What a file is exported to where nothing is said."""
    return other_format(checkpoint) if is_whole(checkpoint) else "lora"


def _check(label: str, format: str, whole: bool, idle: dict[str, Any]) -> None:
    """Raises BadParam if the format is of the other sort of file, or an idle option is given."""
    if format not in FORMATS:
        ours = " or ".join(SPELLINGS if whole else MODULES)
        raise BadParam(f"the format is {format!r}; it must be {ours}")
    if whole and format in MODULES:
        raise BadParam(
            f"{label} is a whole checkpoint: --format diffusers or single; a {format} file is made "
            f"of a delta, which `ckptedit diff BASE {label} -o DELTA` writes"
        )
    if not whole and format in SPELLINGS:
        raise BadParam(
            f"{label} is a delta or LoRA: --format lora or lycoris; `ckptedit apply BASE {label}` "
            "makes a whole checkpoint of it"
        )
    for option, value in idle.items():
        if value is not None:
            raise BadParam(f"{option} is not of --format {format}; leave it out")
