"""`ckptedit export`: a delta as a LoRA that other tools load."""

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ckptedit.cli.options import Force, Json, Output, Quiet, one_of
from ckptedit.cli.output import as_json, default_output, say_notes
from ckptedit.cli.progress import progress
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from ckptedit.deltas import Exported


def export(
    delta: Annotated[str, Argument(metavar="DELTA", help="Delta file; - is stdin.")],
    format: Annotated[
        str,
        Option(
            help="lora: low-rank factors; lycoris: full differences.",
            autocompletion=one_of("lora", "lycoris"),
        ),
    ] = "lora",
    rank: Annotated[
        int | None,
        Option("--rank", "-r", metavar="N", help="Of the LoRA; default: as each change needs."),
    ] = None,
    output: Output = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a delta as a file that A1111 and ComfyUI load.

    A lora loads in diffusers, too; a lycoris file does not. A rank below
    that of a change loses some of it: the note and the JSON say how much.
    Changes of weights that these tools do not load from such a file (the
    VAE's, a text encoder's norms, in a lora all vectors) are left out and
    named.

    Example: ckptedit export vangogh.delta.safetensors --format lora -o vangogh.safetensors
    """
    target = output or str(default_output(delta, "export"))
    if target == "-" and json:
        raise BadParam("--json and -o - both want stdout")
    from ckptedit.deltas import export as run

    with progress(quiet) as track:
        exported = run(delta, target, format=format, rank=rank, force=force, track=track)
    say_notes(notes(exported), quiet)
    if target != "-":
        typer.echo(as_json(exported.as_dict()) if json else target)


def notes(exported: "Exported") -> list[str]:
    """What was lost, if it can be seen."""
    found = []
    if exported.error > VISIBLE:
        found.append(f"rank {exported.rank} loses {exported.error:.2%} of the change")
    if names := exported.left_out:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        found.append(f"left out what other tools would not load: {shown}")
    return found


VISIBLE = 1e-4  # relative error; less is below the rounding of a half-precision model
