"""`ckptedit plan`: independent erasures on many machines."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ckptedit.cli.continual_options import Requests
from ckptedit.cli.options import (
    Base,
    Device,
    Embeddings,
    EncoderFolder,
    Force,
    Json,
    Quiet,
    Strings,
    one_of,
)
from ckptedit.cli.output import as_json, say, say_notes
from ckptedit.continual.engines import ENGINES
from ckptedit.errors import BadParam
from ckptedit.merging.methods import METHODS

if TYPE_CHECKING:
    from ckptedit.continual.fan_out import FanOut

START = {
    "Snakefile": "snakemake --cores 2 --directory {folder} -s {path}",
    "submit.sh": "bash {path}",
}


def plan(
    base: Base,
    requests: Requests,
    output: Annotated[
        str, Option("--output", "-o", metavar="DIR", help="Gets the plan, and what comes of it.")
    ],
    engine: Annotated[
        str,
        Option("--engine", "-e", help=", ".join(ENGINES) + ".", autocompletion=one_of(*ENGINES)),
    ] = "snakemake",
    merge: Annotated[
        str,
        Option(help="How the edits are merged, as `merge` does.", autocompletion=one_of(*METHODS)),
    ] = "ties",
    merge_param: Annotated[
        Strings,
        Option(
            "--merge-param",
            metavar="NAME=VALUE",
            help="Of --merge, as density=0.3; repeatable; default: its own.",
        ),
    ] = None,
    scale: Annotated[float, Option("--scale", metavar="X", help="Factor of what is merged.")] = 1.0,
    shards: Annotated[
        int | None,
        Option(metavar="N", min=0, help="Score, in N jobs; default: 1 if the list has [eval]."),
    ] = None,
    audit: Annotated[bool, Option("--audit", help="Ask of every concept whether it is gone.")] = (
        False
    ),
    report: Annotated[bool, Option("--report", help="Make a page of what was merged.")] = False,
    threads: Annotated[
        int | None, Option(metavar="N", min=1, help="Of each erasure; default: by the machine.")
    ] = None,
    text_encoder: EncoderFolder = None,
    embeddings: Embeddings = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the jobs of a list of requests, for Snakemake or Slurm.

    Each request is erased from BASE alone, then all are merged, scored in shards, audited, and
    shown. A job is one call of ckptedit, files in, one file out; what is there is not done again,
    and exit status 75 is tried again. Nothing is computed here. Prints the path of the file to
    start.

    Example: ckptedit plan base.safetensors requests.toml --engine snakemake -o run
    """
    from ckptedit.continual.fan_out import plan as run
    from ckptedit.params import assignments

    if base == "-":
        raise BadParam("every job reads BASE; it must be a file, not stdin")
    made = run(
        base, requests, output, engine=engine, merge=merge, params=assignments(merge_param or ()),
        scale=scale, shards=shards, audits=audit, report=report, device=device,
        threads=threads, embeddings=embeddings, text_encoder=text_encoder, force=force,
    )  # fmt: skip
    say_notes(made.notes, quiet)
    say(*told(made), quiet=quiet)
    typer.echo(as_json(as_report(made, engine)) if json else made.path)


def told(made: "FanOut") -> list[str]:
    """What will run, a job a line, and how to start it."""
    from shlex import join, quote

    jobs = [job for stage in made.stages for job in stage.jobs]
    wide = max(len(job.name) for job in jobs)
    lines = [f"{job.name:<{wide}}  {join(job.words)}" for job in jobs]
    path, folder = quote(str(made.path)), quote(str(made.path.parent))
    start = START[made.path.name].format(path=path, folder=folder)
    return [*lines, f"{len(jobs)} jobs; to start them: {start}"]


def as_report(made: "FanOut", engine: str) -> dict[str, Any]:
    """The plan under stable names."""
    from ckptedit.continual.fan_out import as_dict

    return {
        "output": str(made.path),
        "engine": engine,
        "files": [str(path) for path in made.files],
        **as_dict(made.stages),
        "notes": list(made.notes),
    }
