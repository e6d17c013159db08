"""`ckptedit sample`: pictures from a checkpoint, or from two side by side."""

from pathlib import Path
from typing import Annotated

import typer

from ckptedit.cli.output import as_json, default_output, tracker


def sample(
    ckpt: Annotated[str, typer.Argument(help="A .safetensors file, folder, or - (stdin).")],
    prompts: Annotated[list[str], typer.Argument(help="What to draw; a row for each.")],
    against: Annotated[str | None, typer.Option(help="A second checkpoint, same noise.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Pictures per prompt.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Solver steps per picture.")] = 20,
    guidance: Annotated[
        float | None, typer.Option(help="Classifier-free guidance; default: the family's.")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="PNG; - is stdout.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder or file, where none ships with the tool.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Draw prompts as a labelled grid: a row per prompt, a column per seed.

    With --against, each picture stands beside the one that the other checkpoint draws from the same
    noise. Prints the path of the PNG.

    Example: ckptedit sample base.safetensors "a cat in Van Gogh style" --against edited.safetensors
    """
    from ckptedit.files import Checkpoint, check_output

    target = output or str(default_output(ckpt, "sample").with_suffix(".png"))
    checkpoints = [Checkpoint(path) for path in (ckpt, against) if path is not None]
    check_output(target, checkpoints, force=force)

    from ckptedit.diffusion import choose_threads, open_model, sample_sheet, save_png, threads

    models = [
        open_model(opened, device=device, tokenizer=tokenizer, precision=precision)
        for opened in checkpoints
    ]
    with threads(choose_threads(models[0].unet)):
        page = sample_sheet(
            models, prompts, seeds=seeds, steps=steps, guidance=guidance, track=tracker(quiet)
        )
    save_png(page, target, force=force)
    report = {"output": target, "prompts": prompts, "seeds": seeds, "steps": steps}
    if target != "-":
        typer.echo(as_json(report) if json else target)
