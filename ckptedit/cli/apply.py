"""`ckptedit apply`: adds a delta to a checkpoint, or takes it out again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ckptedit.cli.options import Base, DryRun, Force, InPlace, Json, Output, Quiet
from ckptedit.cli.output import as_json, default_output, say, say_notes
from ckptedit.errors import BadParam, DoesNotFit

if TYPE_CHECKING:
    from ckptedit.deltas import Application, Applied


def apply(
    base: Base,
    delta: Annotated[
        str,
        Argument(
            metavar="DELTA",
            help="Delta file; with --fuzz, any LoRA or partial checkpoint that fits.",
        ),
    ],
    strength: Annotated[
        float, Option("--strength", "-s", metavar="X", help="Factor of the changes.")
    ] = 1.0,
    reverse: Annotated[
        bool, Option("--reverse", "-R", help="Take it out: BASE is the edited checkpoint.")
    ] = False,
    fuzz: Annotated[
        bool, Option("--fuzz", help="Apply it even if BASE is not what it was made from.")
    ] = False,
    output: Output = None,
    dry_run: DryRun = False,
    force: Force = False,
    in_place: InPlace = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add a delta to its base, or take it out again.

    Checks by digest that BASE is what the delta was made from, and that what
    comes out is what the delta promises. Prints the path of the output.

    Exit status: 0 done, or with -n: it fits; 1 the delta does not fit BASE;
    2 a file cannot be read or written.

    Example: ckptedit apply base.safetensors vangogh.delta.safetensors --strength 0.8
    """
    target = output or str(default_output(base, "apply"))
    if target == "-" and json and not dry_run:
        raise BadParam("--json and -o - both want stdout")
    settings = {"strength": strength, "reverse": reverse, "fuzz": fuzz}
    over = {"force": force, "in_place": in_place}
    try:
        application, applied = run(base, delta, None if dry_run else target, settings, over)
    except DoesNotFit as error:
        say(f"error: {error}")
        if json:
            typer.echo(as_json({"fits": False, "reason": str(error)}))
        raise typer.Exit(1) from None
    found = applied or application
    say_notes(found.notes, quiet)
    if target != "-" or dry_run:
        shown = summary(application) if dry_run else target
        typer.echo(as_json(found.as_dict()) if json else shown)


def run(
    base: str, delta: str, target: str | None, settings: dict[str, Any], over: dict[str, bool]
) -> "tuple[Application, Applied | None]":
    """Plans, and unless target is None, writes."""
    from ckptedit.deltas import carry_out, check_target, plan
    from ckptedit.files import Checkpoint

    if base == delta == "-":
        raise BadParam("only one of BASE and DELTA can be read from stdin")
    with Checkpoint(base) as before, Checkpoint(delta) as changes:
        if target is not None:
            check_target(target, before, changes, **over)
        planned = plan(before, changes, **settings)
        return planned, carry_out(planned, target, **over) if target is not None else None


def summary(application: "Application") -> str:
    """What a dry run tells a person."""
    forms = ", ".join(f"{count} {form}" for form, count in application.forms.items())
    total = sum(application.base[name].nbytes for name in application.base)
    count = len(application.delta.entries)
    return f"fits; would change {count} tensors ({forms}), write {total} bytes"
