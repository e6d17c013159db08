"""`ckptedit report`: a page to look at and to forward."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from ckptedit.cli.options import (
    AllowDownload,
    ClipSkip,
    Device,
    Force,
    Json,
    Quiet,
    SolverSteps,
    Strings,
    Tokenizer,
    one_of,
)
from ckptedit.cli.output import as_json, say_notes
from ckptedit.cli.progress import LOADING, progress
from ckptedit.cli.words import words_of
from ckptedit.errors import BadParam


def report(
    edited: Annotated[
        str, Argument(metavar="DIR", help="Folder of a run, or an edited checkpoint.")
    ],
    output: Annotated[
        str | None,
        Option(
            "--output",
            "-o",
            metavar="PATH",
            help="HTML to write; - is stdout; default: <name>.report.html here.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        Option(metavar="CKPT", help="The one before the edits; default: a run's, if it is near."),
    ] = None,
    prompt: Annotated[
        Strings,
        Option(metavar="TEXT", help="Draw this, too, or @file of them; repeatable; default: none."),
    ] = None,
    concept: Annotated[
        Strings,
        Option(metavar="NAME", help="The same of a concept, or @file; repeatable; default: none."),
    ] = None,
    seeds: Annotated[int, Option(metavar="N", min=1, help="Pictures per prompt.")] = 2,
    steps: SolverSteps = 20,
    no_pictures: Annotated[bool, Option("--no-pictures", help="Draw nothing.")] = False,
    blur: Annotated[
        str,
        Option(
            metavar="WHICH",
            help="What is blurred until the reader switches: targets, all, none.",
            autocompletion=one_of("targets", "all", "none"),
        ),
    ] = "targets",
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make an HTML page of a run or an edit, to look at and to forward.

    It has pictures before and after, curves, drift by block, the ledger, and the commands that
    repeat it, and fetches nothing. Targets, what is near them and what is not are drawn from the
    same noise, with a slider between before and after. Targets are blurred until the reader
    switches; names that a ledger hides are not told. Prints the path of the page.

    Example: ckptedit report run -o report.html
    """
    from ckptedit.concepts.lists import listed
    from ckptedit.files import check_output
    from ckptedit.reports.story import read_story

    if json and output == "-":
        raise BadParam("--json and -o - both want stdout")
    target = output or f"{Path(edited).resolve().name.removesuffix('.safetensors')}.report.html"
    check_output(target, force=force, report=True)
    story = read_story(edited, against)
    words = None
    if story.base and not no_pictures:
        words = words_of(story.base, tokenizer, download=allow_download, quiet=quiet)
    with progress(quiet) as track:
        track.begin(LOADING)
        from ckptedit.reports.report import report as run

        made = run(
            story, target, prompts=listed(prompt), concepts=listed(concept), seeds=seeds,
            steps=steps, pictures=not no_pictures, blur=blur, device=device, tokenizer=words,
            clip_skip=clip_skip, force=force, track=track,
        )  # fmt: skip
    say_notes(made.notes, quiet)
    if target == "-":
        return
    facts = {
        "output": target,
        "bytes": len(made.html.encode()),
        "pictures": made.pictures,
        "requests": len([line for line in story.lines if line.number]),
        "erased": len(story.erased),
        "private": story.hidden,
        "notes": list(made.notes),
    }
    typer.echo(as_json(facts) if json else target)
