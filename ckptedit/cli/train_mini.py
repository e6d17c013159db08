"""`ckptedit train-mini`: makes the embedded model again. Needs a checkout, and an hour or two."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from ckptedit.cli.options import Quiet
from ckptedit.cli.progress import LOADING, progress


def train_mini(
    runs: Annotated[Path, Option(help="Folder for pictures and states.")] = Path("runs/mini"),
    device: Annotated[str, Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, Option(min=1, help="Of the CPU.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Draw the pictures, train mini's parts and the judge, and write them into the package.

    Goes on where it was stopped. Prints the paths of the files that it wrote.

    Example: ckptedit train-mini --runs runs/mini --device cuda
    """
    with progress(quiet) as track:
        track.begin(LOADING)
        import torch

        from ckptedit.canvas.make import Workshop, ship

        torch.set_num_threads(threads)
        paths = list(ship(Workshop(runs, device=device, track=track)))
    typer.echo("\n".join(map(str, paths)))
