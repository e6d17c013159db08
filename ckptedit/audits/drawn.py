"""Pictures of the concept, as the original draws them: what the deep probes start from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ckptedit.audits.subject import Subject
from ckptedit.concepts.templates import HELD_OUT_FRAMES, OTHER
from ckptedit.diffusion import Model, decode, noises_for, sample_latents
from ckptedit.diffusion.schedule import Schedule
from ckptedit.evaluation.suite import Cell
from ckptedit.progress import Track

FRAME = HELD_OUT_FRAMES[0]  # no method trains on it
STEPS = 16  # of the solver


@dataclass(frozen=True)
class Drawn:
    """n pictures of the target. cells: what was asked for; latents: [n, c, h, w] float32, CPU"""

    cells: tuple[Cell, ...]
    latents: Tensor

    @property
    def prompts(self) -> list[str]:
        return [cell.prompt for cell in self.cells]


def cells(subject: Subject, count: int, *, instead: str = "", first: int = 0) -> tuple[Cell, ...]:
    """Prompts of the target beside its companions in turn, each time with a seed of its own.

    instead: what stands in the target's place; first: seed
    """
    kind, name = subject.target.kind, instead or subject.target.concept
    beside = subject.company.companions or [""]
    return tuple(
        Cell(**{kind: name, OTHER[kind]: beside[i % len(beside)]},
             seed=subject.seed + first + i // len(beside), frame=FRAME)
        for i in range(count)
    )  # fmt: skip


def drawn(subject: Subject, count: int, track: Track, *, model: Model | None = None) -> Drawn:
    """Draws the target. model: default: the original"""
    wanted = cells(subject, count)
    return Drawn(wanted, draw(model or subject.teacher, wanted, track=track))


def draw(model: Model, wanted: Sequence[Cell], *, track: Track, prefix: str = "") -> Tensor:
    """Latents of cells, each from the noise of its key; prefix: words before each prompt."""
    noise = noises_for(model.latent_shape, [cell.key for cell in wanted])
    prompts = [f"{prefix} {cell.prompt}" if prefix else cell.prompt for cell in wanted]
    return sample_latents(model, prompts, noise=noise, steps=STEPS, track=track)


def share_seen(subject: Subject, wanted: Sequence[Cell], latents: Tensor) -> float:
    """Of pictures, those in which the judge sees the target, 0..1."""
    pictures = decode(subject.teacher, latents)  # whose VAE no edit of ours touches
    bytes_of = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    seen = subject.judge.look(subject.teacher, wanted, bytes_of)[subject.target.kind]
    return float((seen == subject.seen_as).mean())


def noised(schedule: Schedule, latents: Tensor, t: int, key: str) -> tuple[Tensor, Tensor]:
    """Latents at a timestep, and the noise in them, which depends on the key and place alone."""
    shape = tuple(latents.shape[1:])
    noise = noises_for(shape, [(key, t, i) for i in range(len(latents))])
    return schedule.add_noise(latents, noise, torch.full((len(latents),), t)), noise
