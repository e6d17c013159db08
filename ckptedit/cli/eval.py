"""`ckptedit eval`: is what was erased gone, and is the rest still there?"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ckptedit.cli.eval_parts import check_usage, read_parts, write_part
from ckptedit.cli.eval_tables import tables
from ckptedit.cli.options import (
    AllowDownload,
    ClipSkip,
    Device,
    Force,
    Json,
    Quiet,
    Strings,
    Tokenizer,
)
from ckptedit.cli.output import as_json, print_tables
from ckptedit.cli.progress import LOADING, progress
from ckptedit.cli.words import as_fact, words_of
from ckptedit.errors import BadParam, LimitExceeded

if TYPE_CHECKING:
    from ckptedit.evaluation.parts import Part


def eval(
    ckpt: Annotated[
        list[str],
        Argument(metavar="CKPT", help="A .safetensors file, index, folder; - is stdin."),
    ],
    erased: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="What should be gone, or @file of names; repeatable; default: by its ledger.",
        ),
    ] = None,
    retain: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="What must stay, or @file of names; repeatable; default: all the rest.",
        ),
    ] = None,
    prompt: Annotated[
        Strings,
        Option(
            metavar="TEXT",
            help="Draw these, or @file of them, not a suite; repeatable; default: the suite.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        Option(metavar="NAME", help="What is drawn: canvas, unlearncanvas; default: its family's."),
    ] = None,
    judge: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="Who says what it shows: canvas, vit, clip; default: by what is given.",
        ),
    ] = None,
    classifier: Annotated[
        list[Path] | None,
        Option(
            metavar="FILE",
            help="Of the judge vit, for styles or objects; repeatable; default: none.",
        ),
    ] = None,
    clip: Annotated[
        Path | None,
        Option(metavar="DIR", help="A CLIP model, for scores and the judge clip; default: none."),
    ] = None,
    detector: Annotated[
        str | None,
        Option(
            metavar="CMD",
            help="Program that scores the PNGs in {folder}, as JSON; default: none.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        Option(metavar="DIR", help="Pictures to compare with, by KID and FID; default: none."),
    ] = None,
    seeds: Annotated[
        int | None,
        Option(metavar="N", min=1, help="Pictures of each combination; default: the suite's."),
    ] = None,
    companions: Annotated[
        int | None,
        Option(
            metavar="N",
            min=1,
            help="Objects that a style is drawn with, and the reverse; default: the suite's.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        Option(metavar="N", min=1, help="Solver steps per picture; default: the suite's."),
    ] = None,
    against: Annotated[
        str | None,
        Option(metavar="CKPT", help="Another, from the same noise: differences; default: none."),
    ] = None,
    min_ua: Annotated[
        float | None,
        Option(metavar="X", min=0, max=1, help="Exit with 1 if UA is lower; default: none."),
    ] = None,
    min_ra: Annotated[
        float | None,
        Option(
            metavar="X", min=0, max=1, help="Exit with 1 if RA-I or RA-C is lower; default: none."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        Option(metavar="I/N", help="Only this part, 2/4 is the second of four; default: all."),
    ] = None,
    output: Annotated[
        Path | None,
        Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write what was seen, for --merge, and print the path; default: not written.",
        ),
    ] = None,
    merge: Annotated[
        bool, Option("--merge", help="The arguments are all parts that -o wrote; draw nothing.")
    ] = False,
    no_cache: Annotated[
        bool, Option("--no-cache", help="Draw all again, and keep nothing for the next time.")
    ] = False,
    device: Device = "auto",
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score an edited checkpoint: what is gone, and what is left.

    UA: unlearning accuracy. RA-I, RA-C: retain accuracy of the same kind (in-domain), and of the
    other (cross-domain). Draws styles times objects on prompts that no edit was trained on, with
    noise that depends on the style, the object and the seed alone, and asks a classifier what it
    sees. Intervals are of 95 %.

    Shards: eval CKPT --shard 1/2 -o 1.json, the same with 2/2 elsewhere, then eval --merge *.json.

    Example: ckptedit eval base.erase.safetensors --json
    """
    drawing = {
        "erased": erased, "retain": retain, "prompt": prompt, "suite": suite, "judge": judge,
        "seeds": seeds, "companions": companions, "steps": steps, "against": against,
        "clip_skip": clip_skip, "classifier": classifier, "clip": clip,
        "detector": detector, "reference": reference,
    }  # fmt: skip
    asked = {**drawing, "tokenizer": tokenizer, "output": output, "shard": shard}
    judged = {"min_ua": min_ua, "min_ra": min_ra, "json": json or None}
    check_usage(ckpt, merge=merge, drawing=asked, judged=judged)
    if merge:
        parts = read_parts(ckpt)
    else:
        cached = {"device": device, "cache": not no_cache}
        parts = [draw(ckpt[0], asked, cached, download=allow_download, force=force, quiet=quiet)]
    if shard is not None:
        write_part(parts[0], output, force=force)
        return
    conclude(parts, ckpt[0], json=json, min_ua=min_ua, min_ra=min_ra)


def draw(
    path: str,
    asked: dict[str, Any],
    how: dict[str, Any],
    *,
    download: bool,
    force: bool,
    quiet: bool,
) -> "Part":
    """Opens the checkpoints, checks all that can be, and draws one shard, or all of it."""
    from ckptedit.concepts.lists import listed
    from ckptedit.evaluation.shard import parse_shard
    from ckptedit.evaluation.world import suite_name
    from ckptedit.files import Checkpoint, check_output

    options = dict(asked)
    output, shard = options.pop("output"), parse_shard(options.pop("shard") or "1/1")
    opened, other = Checkpoint(path), options["against"] and Checkpoint(options["against"])
    if not options["prompt"]:
        suite_name(opened, options["suite"])  # before torch is imported: a mistake shows at once
    if output is not None:
        check_output(output, [opened, *([other] if other else [])], force=force, report=True)
    words = words_of(opened, options["tokenizer"], download=download, quiet=quiet)
    erased = None if options["erased"] is None else listed(options["erased"])
    if erased == []:
        raise BadParam("the list of --erased is empty; leave it out to go by the ledger")
    options |= {"erased": erased, "retain": listed(options["retain"]), "against": other}
    options |= {"tokenizer": words, "prompts": listed(options.pop("prompt")), **how}

    with progress(quiet) as track:
        track.begin(LOADING)
        from ckptedit.evaluation.evaluate import given_by, prepare

        given = given_by(*(options.pop(name) for name in ("classifier", "clip", "detector")))
        part = prepare(opened, given=given, **options).part(shard, track)
    return replace(part, tokenizer=as_fact(words))


def conclude(
    parts: "list[Part]", name: str, *, json: bool, min_ua: float | None, min_ra: float | None
) -> None:
    """Prints the figures; a limit that failed is named, and the exit status is 1."""
    from ckptedit.evaluation.limits import failures
    from ckptedit.evaluation.parts import merged

    scores = merged(parts)
    failed = failures(scores, min_ua=min_ua, min_ra=min_ra)
    if json:
        facts = {"tokenizer": parts[0].tokenizer, "failed": failed}
        typer.echo(as_json(asdict(scores) | facts))
    else:
        print_tables(tables(scores, name))
    if failed:
        raise LimitExceeded("; ".join(failed))
