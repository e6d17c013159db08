"""`ckptedit sample`: pictures from a checkpoint, or from two side by side."""

from typing import Annotated

import typer
from typer import Argument, Option

from ckptedit.cli.options import (
    AllowDownload,
    Ckpt,
    ClipSkip,
    Device,
    Force,
    Json,
    Prediction,
    Quiet,
    SolverSteps,
    Tokenizer,
    one_of,
)
from ckptedit.cli.output import as_json, default_output
from ckptedit.cli.progress import LOADING, progress
from ckptedit.cli.words import as_fact, words_of
from ckptedit.progress import plan


def sample(
    ckpt: Ckpt,
    prompts: Annotated[
        list[str], Argument(metavar="PROMPT...", help="What to draw; a row for each.")
    ],
    against: Annotated[
        str | None,
        Option(metavar="CKPT", help="A second checkpoint, same noise; default: none."),
    ] = None,
    seeds: Annotated[int, Option(metavar="N", min=1, help="Pictures per prompt.")] = 4,
    steps: SolverSteps = 20,
    guidance: Annotated[
        float | None,
        Option(metavar="X", help="Classifier-free guidance; default: the family's."),
    ] = None,
    output: Annotated[
        str | None,
        Option(
            "--output",
            "-o",
            metavar="PATH",
            help="PNG to write; - is stdout; default: <stem>.sample.png here.",
        ),
    ] = None,
    tokenizer: Tokenizer = None,
    clip_skip: ClipSkip = None,
    allow_download: AllowDownload = False,
    device: Device = "auto",
    prediction: Prediction = "auto",
    precision: Annotated[
        str,
        Option(
            help="auto, float32, bfloat16, float16.",
            autocompletion=one_of("auto", "float32", "bfloat16", "float16"),
        ),
    ] = "auto",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw prompts as a labelled grid, or two checkpoints side by side.

    A row per prompt, a column per seed. With --against, each picture stands beside the one that the
    other checkpoint draws from the same noise. Prints the path of the PNG.

    Example: ckptedit sample base.safetensors "a cat in Van Gogh style" --against edited.safetensors
    """
    from ckptedit.files import Checkpoint, check_output

    target = output or str(default_output(ckpt, "sample").with_suffix(".png"))
    checkpoints = [Checkpoint(path) for path in (ckpt, against) if path is not None]
    check_output(target, checkpoints, force=force, report=True)
    words = [
        words_of(opened, tokenizer, download=allow_download, quiet=quiet) for opened in checkpoints
    ]

    with progress(quiet) as track:
        track.begin(LOADING)
        from ckptedit.diffusion import choose_threads, open_model, sample_sheet, save_png, threads

        models = [
            open_model(
                opened, device=device, tokenizer=known, clip_skip=clip_skip, precision=precision,
                prediction=prediction,
            )
            for opened, known in zip(checkpoints, words, strict=True)
        ]  # fmt: skip
        plan(track, [("sampling", 1)] * len(models))
        with threads(choose_threads(models[0].unet)):
            page = sample_sheet(
                models, prompts, seeds=seeds, steps=steps, guidance=guidance, track=track
            )
    save_png(page, target, force=force)
    report = {"output": target, "prompts": prompts, "seeds": seeds, "steps": steps,
              "tokenizer": as_fact(words[0])}  # fmt: skip
    if target != "-":
        typer.echo(as_json(report) if json else target)
