"""`ckptedit import`: a delta of what another tool wrote, pickles included."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from ckptedit.cli.options import Base, Exact, Force, Json, Output, Quiet
from ckptedit.cli.output import as_json, default_output, say, say_notes
from ckptedit.cli.progress import progress
from ckptedit.errors import BadParam, DoesNotFit

if TYPE_CHECKING:
    from ckptedit.deltas import Made


def import_delta(
    file: Annotated[
        str, Argument(metavar="FILE", help="Of another tool: .safetensors, .pt, .bin.")
    ],
    base: Base,
    exact: Exact = False,
    output: Output = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a delta of an edit that another tool wrote.

    FILE is a LoRA, LoHa, LoKr or DoRA, or new values of some weights: what
    ESD, UCE, SPEED, RECE and CUIG save. Of a pickle (.pt, .bin) only tensors
    are read, and nothing in it is run. BASE must be what FILE was made from:
    no file of these says it. The delta does, and can be taken out again.

    Exit status: 0 done; 1 FILE does not fit BASE; 2 trouble.

    Example: ckptedit import rece.pt sd14.safetensors -o rece.delta.safetensors
    """
    target = output or str(default_output(file, "import"))
    if target == "-" and json:
        raise BadParam("--json and -o - both want stdout")
    from ckptedit.deltas import import_delta as run

    try:
        with progress(quiet) as track:
            made = run(file, base, target, exact=exact, force=force, track=track)
    except DoesNotFit as error:
        say(f"error: {error}")
        raise typer.Exit(1) from None
    say_notes(errors(made), quiet)
    if target != "-":
        typer.echo(as_json(made.as_dict()) if json else target)


def errors(made: "Made") -> Iterator[str]:
    """What of the delta is not exact."""
    from ckptedit.deltas.fit import how_far

    for error, what in ((made.off, "applying it is not what FILE makes of BASE"),
                        (made.back, "taking it out again is not BASE")):  # fmt: skip
        if error[0]:
            yield f"{what} to the bit: {how_far(*error)}; --exact makes it so"
