"""`ckptedit export`: a delta as a LoRA, or a checkpoint in the other spelling."""

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ckptedit.cli.options import Force, Json, Output, Prediction, Quiet, Strings, Tokenizer, one_of
from ckptedit.cli.output import as_json, default_output, say_notes
from ckptedit.cli.progress import progress
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from ckptedit.files import Checkpoint


def export(
    file: Annotated[str, Argument(metavar="FILE", help="A delta or a checkpoint; - is stdin.")],
    format: Annotated[
        str | None,
        Option(
            help="Of a delta: lora, low-rank factors, or lycoris, full differences; of a "
            "checkpoint: diffusers, a folder, or single, one file; default: lora, or the spelling "
            "that it has not.",
            autocompletion=one_of("lora", "lycoris", "diffusers", "single"),
        ),
    ] = None,
    rank: Annotated[
        int | None,
        Option("--rank", "-r", metavar="N", help="Of the LoRA; default: as each change needs."),
    ] = None,
    keys: Annotated[
        str | None,
        Option(
            help="Of the LoRA: kohya, peft (diffusers' own); default: kohya.",
            autocompletion=one_of("kohya", "peft"),
        ),
    ] = None,
    tokenizer: Tokenizer = None,
    prediction: Prediction = "auto",
    base_model: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="For a folder's card: its base on the hub, ORGANISATION/MODEL; repeatable; "
            "default: left open.",
        ),
    ] = None,
    output: Output = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a delta, or a checkpoint, in a form that other tools load.

    A lora loads in A1111, ComfyUI and diffusers; a lycoris file in the first
    two. A rank below that of a change loses some of it: the note and the JSON
    say how much. A checkpoint keeps every byte of its tensors: a folder gets
    configs, a card, and a tokenizer where one is found. What has no place
    in the output is left out and named.

    Example: ckptedit export vangogh.delta.safetensors --format lora -o vangogh.safetensors
    """
    from ckptedit.conversion import export as run
    from ckptedit.files import Checkpoint

    with Checkpoint(file) as opened, progress(quiet) as track:
        target = output or default_target(opened, format)
        if target == "-" and json:
            raise BadParam("--json and -o - both want stdout")
        exported = run(
            opened, target, format=format, rank=rank, keys=keys, tokenizer=tokenizer,
            prediction=None if prediction == "auto" else prediction, base_model=base_model or (),
            force=force, track=track,
        )  # fmt: skip
    say_notes(exported.notes, quiet)
    if target != "-":
        typer.echo(as_json(exported.as_dict()) if json else target)


def default_target(file: "Checkpoint", format: str | None) -> str:
    """Where the output goes; a folder's name has no ending."""
    from ckptedit.conversion.run import usual_format

    name = str(default_output(str(file.path), "export")).removesuffix(".safetensors")
    folder = (format or usual_format(file)) == "diffusers"
    return name if folder else f"{name}.safetensors"
