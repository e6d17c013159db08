"""`ckptedit merge`: several edits of one base in one checkpoint."""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer import Argument, Option

from ckptedit.cli.options import (
    Base,
    Force,
    InPlace,
    Json,
    Keys,
    Output,
    Param,
    Quiet,
    Seed,
    Strings,
    Threads,
    one_of,
)
from ckptedit.cli.output import as_json, default_output, say_notes
from ckptedit.cli.progress import progress
from ckptedit.cli.sizes import as_bytes
from ckptedit.errors import BadParam
from ckptedit.merging.methods import METHODS

if TYPE_CHECKING:
    from ckptedit.merging.recipe import Extra


def merge(
    base: Base,
    edits: Annotated[list[str], Argument(metavar="EDIT...", help="Edited checkpoints, or deltas.")],
    method: Annotated[
        str,
        Option("--method", "-m", help=", ".join(METHODS) + ".", autocompletion=one_of(*METHODS)),
    ] = "ties",
    output: Output = None,
    weight: Annotated[
        list[float] | None,
        Option(
            "--weight",
            "-w",
            metavar="X",
            help="Once for each edit, in their order; default: 1 each.",
        ),
    ] = None,
    scale: Annotated[
        float, Option("--scale", "-s", metavar="X", help="Factor of what is added to BASE.")
    ] = 1.0,
    density: Annotated[
        float | None,
        Option(
            metavar="X",
            help="Share of entries kept: ties, dare, della, breadcrumbs; default: the method's.",
        ),
    ] = None,
    trim_scope: Annotated[
        str | None,
        Option(help="ties: keep a share of each `tensor`, or of the `model`; default: tensor."),
    ] = None,
    vote: Annotated[
        str | None, Option(help="ties: sign by `mass`, or by `count`; default: mass.")
    ] = None,
    ties_compat: Annotated[
        str | None,
        Option(help="ties as in reference, mergekit, peft, sd-mecha; default: as above."),
    ] = None,
    param: Param = None,
    block: Annotated[
        Strings,
        Option(
            metavar="BLOCK=X",
            help="Factor of UNet blocks, as IN*=0.5; or 26 numbers, SDXL 20; default: 1 each.",
        ),
    ] = None,
    keys: Keys = None,
    extra: Annotated[
        str,
        Option(
            help="Tensors that BASE lacks: error, keep, drop.",
            autocompletion=one_of("error", "keep", "drop"),
        ),
    ] = "error",
    saturate: Annotated[
        bool, Option("--saturate", help="Values beyond their dtype become its largest.")
    ] = False,
    allow_nonfinite: Annotated[
        bool, Option("--allow-nonfinite", help="Copy NaN and Inf in tensors not merged.")
    ] = False,
    seed: Seed = None,
    threads: Threads = 2,
    shard_size: Annotated[
        int | None,
        Option(
            parser=as_bytes,
            metavar="SIZE",
            help="Of a file, as 5GB; more makes shards; default: as BASE.",
        ),
    ] = None,
    force: Force = False,
    in_place: InPlace = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Combine edits of one base, by TIES or another method.

    BASE, plus what the edits changed, combined. Needs little memory, whatever
    the size of the files. Models that predict different things (noise, a
    velocity) are merged with --force only. Prints the path of the output.

    Example: ckptedit merge base.safetensors vangogh.safetensors monet.safetensors --method ties
    """
    from ckptedit.merging import merge as run
    from ckptedit.merging.blocks import parse_blocks

    named = {"density": density, "trim_scope": trim_scope, "vote": vote, "compat": ties_compat}
    target = output or default_output(base, "merge")
    if json and str(target) == "-":
        raise BadParam("--json and -o - both want stdout")
    with progress(quiet) as track:
        merged = run(
            base, edits, target, method=method, params=hyperparameters(named, param, seed),
            weights=weight or (), scale=scale, blocks=parse_blocks(block or ()), keys=keys or (),
            extra=cast("Extra", extra), saturate=saturate, allow_nonfinite=allow_nonfinite,
            seed=seed, threads=threads, force=force, in_place=in_place, shard_size=shard_size,
            track=track,
        )  # fmt: skip
    say_notes(merged.notes, quiet)
    if str(target) != "-":
        typer.echo(as_json(merged.as_dict()) if json else merged.path)


def hyperparameters(named: dict[str, Any], param: Strings, seed: int | None) -> dict[str, Any]:
    """The method's parameters: those that have an option of their own, and those of -p.

    seed: by its option. Raises BadParam if one is given twice.
    """
    from ckptedit.params import assignments

    given = {name: value for name, value in named.items() if value is not None}
    params = assignments(param or ())
    for name, value in (given | {"seed": seed}).items():
        if name in params and value is not None:
            raise BadParam(f"{name} is given twice: {value} by its option, {params[name]} by -p")
    return given | params
