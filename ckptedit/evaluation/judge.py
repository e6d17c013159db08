"""The judge: an independently trained classifier of style and object for 64 x 64 pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ckptedit.diffusion import Model
from ckptedit.errors import BadParam
from ckptedit.evaluation.eye import Answers, Given
from ckptedit.evaluation.suite import Cell, World
from ckptedit.files import Checkpoint

WEIGHTS = Path(__file__).parent / "weights"
JUDGE_FILE = WEIGHTS / "judge.safetensors"
CLIP_FILE = WEIGHTS / "clip.safetensors"


class Judge(nn.Module):
    """Three strided stages and two linear heads.

    forward: pictures [n, 3, 64, 64] in [-1, 1] -> style logits [n, s], object logits [n, o]
    """

    def __init__(self, styles: int, objects: int, widths: tuple[int, ...] = (48, 64, 96)) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in zip((3, *widths[:-1]), widths, strict=True):
            stages += [
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*stages)
        self.style = nn.Linear(2 * widths[-1], styles)
        self.object = nn.Linear(16 * widths[-1], objects)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.body(pictures)  # [n, c, 8, 8]
        texture = torch.cat([maps.mean((2, 3)), maps.std((2, 3))], 1)  # [n, 2c]
        layout = nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1)  # [n, 16c]
        return self.style(texture), self.object(layout)


class CanvasJudge:
    """The shipped judge, and the names of what it can tell apart."""

    def __init__(self, path: Path = JUDGE_FILE) -> None:
        with Checkpoint(path) as checkpoint:
            self.styles: list[str] = json.loads(checkpoint.metadata["styles"])
            self.objects: list[str] = json.loads(checkpoint.metadata["objects"])
            state = {name: checkpoint.tensor(name).float() for name in checkpoint}
            self.key = checkpoint.data_sha256()
        self.judge = load_judge(Judge(len(self.styles), len(self.objects)), state)

    @torch.no_grad()
    def look(self, model: Model | None, cells: Sequence[Cell], pictures: np.ndarray) -> Answers:
        """uint8 [n, 64, 64, 3] -> the classes that it sees in each."""
        seen = [self.judge(part) for part in as_input(pictures).split(100)]
        style, thing = (torch.cat(heads).argmax(1).numpy() for heads in zip(*seen, strict=True))
        return {"style": style, "object": thing}

    def __call__(self, pictures: np.ndarray) -> tuple[list[str], list[str]]:
        """The names of these classes."""
        seen = self.look(None, (), pictures)
        styles = [self.styles[at] for at in seen["style"]]
        return styles, [self.objects[at] for at in seen["object"]]


def canvas_judge(world: World, given: Given, towers: object) -> CanvasJudge:
    """Raises BadParam for another suite: it knows the canvas alone."""
    judge = CanvasJudge()
    if (*judge.styles, *judge.objects) != (*world.styles, *world.objects):
        raise BadParam(f"the judge canvas knows mini's world, not that of the suite {world.name}")
    return judge


def load_judge(judge: Judge, state: dict[str, Tensor]) -> Judge:
    """Fills a network from a file's tensors, all of them; returns it in evaluation mode."""
    counts = [name for name in judge.state_dict() if name.endswith("num_batches_tracked")]
    judge.load_state_dict(state | {name: state[name].long() for name in counts})
    return judge.eval().requires_grad_(False)


def as_input(pictures: np.ndarray) -> Tensor:
    """uint8 [n, 64, 64, 3] -> float32 [n, 3, 64, 64] in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
