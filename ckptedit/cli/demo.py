"""`ckptedit demo`: something real to work on."""

from typing import Annotated

import typer
from typer import Option

from ckptedit.cli.options import Force, Json, Quiet
from ckptedit.cli.output import as_json
from ckptedit.errors import BadParam


def demo(
    output: Annotated[
        str, Option("--output", "-o", metavar="PATH", help="What to write; - is stdout.")
    ] = "base.safetensors",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the embedded checkpoint, something real to work on.

    A small latent diffusion model of 24 styles and 20 objects, trained by this project on pictures
    that this project draws. It has the parts, names and layout of a Stable Diffusion 1 checkpoint,
    at a thousandth of its size.

    Example: ckptedit demo && ckptedit sample base.safetensors "a cat in Van Gogh style"
    """
    from ckptedit.families.demo import demo as run

    if json and output == "-":
        raise BadParam("--json and -o - both want stdout")
    written = run(output, force=force)
    if output != "-":
        report = {"output": output, "sha256": written.sha256}
        typer.echo(as_json(report) if json else output)
