"""The pictures that mini's parts learn from: drawn once, kept in a file, read at random."""

from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from ckptedit.canvas.draw import OBJECTS, PHOTO, STYLES, Scene, draw_many, scene
from ckptedit.progress import Track, silent

ALL_STYLES = (*STYLES, PHOTO)
HELD_OUT = 1_000_000  # seeds from here on are never in a pool


class Pool:
    """So many pictures of each style and object, in an order fixed by the seeds.

    pictures: uint8 [n, 64, 64, 3], mapped from the file; scenes: what each one shows
    """

    def __init__(self, path: Path, each: int, *, workers: int = 2, track: Track = silent) -> None:
        self.scenes = [
            scene(style, thing, seed)
            for seed in range(each)
            for style in ALL_STYLES
            for thing in OBJECTS
        ]
        if not path.exists():
            _draw(path, self.scenes, workers, track)
        self.pictures = np.load(path, mmap_mode="r")
        if len(self.pictures) != len(self.scenes):
            raise ValueError(f"{path} holds {len(self.pictures)} pictures, not {len(self.scenes)}")

    def __len__(self) -> int:
        return len(self.scenes)

    def batch(self, rng: Generator, size: int) -> tuple[Tensor, list[Scene]]:
        """Pictures [size, 3, 64, 64] in [-1, 1] and their scenes."""
        chosen = torch.randint(len(self), (size,), generator=rng).tolist()
        return as_input(self.pictures[chosen]), [self.scenes[i] for i in chosen]


def as_input(pictures: np.ndarray) -> Tensor:
    """uint8 [n, h, w, 3] -> float32 [n, 3, h, w] in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def labels(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Style and object of each scene as class numbers, [n] and [n]."""
    styles = torch.tensor([ALL_STYLES.index(s.style) for s in scenes])
    return styles, torch.tensor([OBJECTS.index(s.object) for s in scenes])


def _draw(path: Path, scenes: list[Scene], workers: int, track: Track) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npy")
    pictures = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(scenes), 64, 64, 3))
    for start in track(range(0, len(scenes), 2000), "drawing"):
        pictures[start : start + 2000] = draw_many(scenes[start : start + 2000], workers=workers)
    pictures.flush()
    partial.rename(path)
