"""The same prompts and noise through one checkpoint or two, as a labelled grid."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ckptedit.diffusion.grid import grid
from ckptedit.diffusion.model import Model
from ckptedit.diffusion.noise import noises_for
from ckptedit.diffusion.sampling import sample
from ckptedit.errors import BadParam, Incompatible
from ckptedit.progress import Track, silent

if TYPE_CHECKING:
    from PIL.Image import Image


def sample_sheet(
    models: Sequence[Model],
    prompts: Sequence[str],
    *,
    seeds: int = 4,
    steps: int = 20,
    guidance: float | None = None,
    track: Track = silent,
) -> "Image":
    """Draws every prompt from `seeds` noises: a row per prompt, a column per seed.

    models: one, or several that stand side by side for each seed, drawn from the same noise
    """
    cells = side_by_side(models, prompts, seeds=seeds, steps=steps, guidance=guidance, track=track)
    cells = cells.reshape(len(prompts), seeds * len(models), *cells.shape[3:])
    return grid(cells, rows=prompts, columns=_columns(models, seeds), group=len(models))


def side_by_side(
    models: Sequence[Model],
    prompts: Sequence[str],
    *,
    seeds: int,
    steps: int = 20,
    guidance: float | None = None,
    track: Track = silent,
) -> np.ndarray:
    """The same prompts and noise through several models.

    seeds:   noises 0, 1, ... seeds - 1; noise depends on its number only, not on the prompt
    returns: [prompts, seeds, models, height, width, 3] uint8
    """
    if seeds < 1:
        raise BadParam(f"seeds must be 1 or more, not {seeds}")
    shapes = {model.latent_shape for model in models}
    if len(shapes) != 1:
        families = " and ".join(model.family.name for model in models)
        raise Incompatible(f"{families} draw pictures of different sizes; compare one family")
    noise = noises_for(shapes.pop(), [("sample", seed) for seed in range(seeds)])
    repeated = [prompt for prompt in prompts for _ in range(seeds)]
    starts = noise.repeat(len(prompts), 1, 1, 1)
    drawn = [
        sample(model, repeated, noise=starts, steps=steps, guidance=guidance, track=track)
        for model in models
    ]
    stacked = np.stack(drawn, axis=1)  # [prompts * seeds, models, h, w, 3]
    return stacked.reshape(len(prompts), seeds, *stacked.shape[1:])


def _columns(models: Sequence[Model], seeds: int) -> list[str]:
    """ "seed 0", or "seed 0, base" and "seed 0, edited" by the files' names."""
    if len(models) == 1:
        return [f"seed {seed}" for seed in range(seeds)]
    names = [model.checkpoint.path.name.removesuffix(".safetensors") for model in models]
    return [f"seed {seed}, {name}" for seed in range(seeds) for name in names]
