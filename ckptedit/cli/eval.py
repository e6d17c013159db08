"""`ckptedit eval`: is what was erased gone, and is the rest still there?"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from ckptedit.cli.options import (
    AllowDownload,
    Ckpt,
    ClipSkip,
    Device,
    Json,
    Quiet,
    SolverSteps,
    Strings,
    Tokenizer,
)
from ckptedit.cli.output import as_json, print_tables
from ckptedit.cli.progress import LOADING, progress
from ckptedit.cli.words import as_fact, words_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ckptedit.evaluation.evaluate import Scores


def eval(
    ckpt: Ckpt,
    erased: Annotated[
        Strings,
        Option(metavar="NAME", help="What should be gone; repeatable; default: by its ledger."),
    ] = None,
    retain: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="What must stay, or @file of names; repeatable; default: all the rest.",
        ),
    ] = None,
    seeds: Annotated[int, Option(metavar="N", min=1, help="Pictures of each combination.")] = 1,
    companions: Annotated[
        int, Option(metavar="N", min=1, help="Objects that a style is drawn with, and the reverse.")
    ] = 10,
    steps: SolverSteps = 16,
    min_ua: Annotated[
        float, Option(metavar="X", min=0, max=1, help="Exit with 1 if UA is lower.")
    ] = 0.0,
    min_ra: Annotated[
        float, Option(metavar="X", min=0, max=1, help="Exit with 1 if RA-I or RA-C is lower.")
    ] = 0.0,
    device: Device = "auto",
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score an edited checkpoint: what is gone, and what is left.

    UA: unlearning accuracy. RA-I, RA-C: retain accuracy of the same kind (in-domain), and of the
    other (cross-domain). Draws styles times objects on prompts that no edit was trained on, with
    noise that depends on the style, the object and the seed alone, and asks a classifier what it
    sees.

    Example: ckptedit eval base.erase.safetensors --json
    """
    from ckptedit.concepts.lists import listed
    from ckptedit.evaluation.world import world_of
    from ckptedit.files import Checkpoint

    opened = Checkpoint(ckpt)
    world_of(opened)  # before torch is imported: a mistake shows at once
    words = words_of(opened, tokenizer, download=allow_download, quiet=quiet)

    with progress(quiet) as track:
        track.begin(LOADING)
        from ckptedit.evaluation.evaluate import evaluate

        scores = evaluate(
            opened,
            erased=None if erased is None else listed(erased),
            retain=listed(retain),
            seeds=seeds,
            companions=companions,
            steps=steps,
            device=device,
            tokenizer=words,
            clip_skip=clip_skip,
            track=track,
        )
    if json:
        typer.echo(as_json(asdict(scores) | {"tokenizer": as_fact(words)}))
    else:
        print_tables(tables(scores, ckpt))
    if not within(scores, min_ua, min_ra):
        raise typer.Exit(1)


def within(scores: "Scores", min_ua: float, min_ra: float) -> bool:
    """Whether the figures reach their limits; what could not be measured reaches none above 0."""
    kept = [value for value in (scores.ra_i, scores.ra_c) if value is not None]
    return (scores.ua or 0.0) >= min_ua and min(kept, default=0.0) >= min_ra


def tables(scores: "Scores", name: str) -> "Iterable[RenderableType]":
    """The three figures, then a line per concept, worst first."""
    from rich.table import Table
    from rich.text import Text

    from ckptedit.files import escape

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value:.1%}"

    def cosine(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    yield Text(f"{escape(Path(name).name)}: {scores.n} pictures")
    split = f"  (shown {percent(scores.ra_i_shown)}, unseen {percent(scores.ra_i_unseen)})"
    yield Text(f"UA    {percent(scores.ua):>6}  of the erased concepts' pictures lack them")
    yield Text(
        f"RA-I  {percent(scores.ra_i):>6}  of retained concepts of that kind are there{split}"
    )
    yield Text(f"RA-C  {percent(scores.ra_c):>6}  of the other kind's concepts are there")
    erased = f"  (where something erased is named: {cosine(scores.clip_erased)})"
    yield Text(f"CLIP  {cosine(scores.clip_retained):>6}  cosine of pictures and prompts{erased}")
    table = Table(box=None, pad_edge=False)
    for column in ("concept", "kind", "role", "seen", "n"):
        table.add_column(column, justify="right" if column in ("seen", "n") else "left")
    order = sorted(scores.per_concept, key=lambda s: (s.role != "erased", s.accuracy))
    for row in order:
        table.add_row(escape(row.concept), row.kind, row.role, percent(row.accuracy), str(row.n))
    yield table
