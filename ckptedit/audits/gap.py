"""The denoising gap: how much better the name helps to see the concept in a noised picture of it.

A diffusion model is its own classifier (Li et al., ICCV 2023, https://arxiv.org/abs/2303.16203):
the prompt under which it denoises a picture best is what it takes the picture for. On pictures of
the concept that the original draws, noised to x_t by a known ε, with the concept's prompt c and the
same prompt about the anchor a,

    L(p) = E ‖ε_θ(x_t, p) - ε‖²,   left = (L'(a) - L'(c)) / (L(a) - L(c))

of the edited model, L', and the original, L: 1 where the name tells it as much as before, 0 where
it tells no more than the anchor. Below 0 the name is worse than the anchor: the edit pushes away
from the concept, which is a trace, too. No judge is needed. G(p) = L(∅) - L(p), the gap to the
empty prompt (prompts that raise it are an attack: Zhang et al., ECCV 2024,
https://arxiv.org/abs/2310.11868), stands beside it. All pictures, noises and timesteps are the same
for every prompt and both models.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from ckptedit.audits.drawn import cells, drawn, noised
from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Subject
from ckptedit.diffusion import Model
from ckptedit.errors import BadParam
from ckptedit.params import Within
from ckptedit.progress import Track

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the schedule
Losses = dict[str, list[float]]  # prompt -> the loss at each timestep


class Gap(Probe):
    """What the name still tells the edited model about pictures of the concept."""

    by = "words"
    runs = True
    bounds: ClassVar[Mapping[str, Bound]] = {"max_gap": Bound("left", share=True)}

    def __init__(
        self, *, pictures: Annotated[int, Within("[1, inf)"), "of the concept"] = 12
    ) -> None:
        self.pictures = pictures

    def run(self, subject: Subject, track: Track) -> Finding:
        seen = drawn(subject, self.pictures, track)
        anchors = [c.prompt for c in cells(subject, len(seen.cells), instead=subject.target.anchor)]
        prompts = {"concept": seen.prompts, "anchor": anchors, "empty": [""] * len(anchors)}
        times = [int(at * subject.teacher.schedule.timesteps) for at in TIMES]
        before, after = (
            _losses(model, prompts, seen.latents, times, track)
            for model in (subject.teacher, subject.model)
        )
        known = [a - c for a, c in zip(before["anchor"], before["concept"], strict=True)]
        still = [a - c for a, c in zip(after["anchor"], after["concept"], strict=True)]
        if not sum(known) > 0:
            raise BadParam(
                f"the original denoises pictures of {subject.target.concept!r} no better by its "
                f"name than by {subject.target.anchor!r}: it does not know it, or the anchor is it"
            )
        left = sum(still) / sum(known)
        rows = [
            {"t": t, "left": still[i] / known[i] if known[i] > 0 else None,
             "original": before["concept"][i], "edited": after["concept"][i],
             "edited, anchor": after["anchor"][i], "edited, empty": after["empty"][i]}
            for i, t in enumerate(times)
        ]  # fmt: skip
        figures = {
            "left": left, "pictures": len(seen.cells),
            **{f"{side}_{name}": mean(losses[name]) for side, losses in
               (("original", before), ("edited", after)) for name in prompts},
            "original_gap": mean(before["empty"]) - mean(before["concept"]),
            "edited_gap": mean(after["empty"]) - mean(after["concept"]),
        }  # fmt: skip
        says = f"the name still tells the model {left:.0%} of what it told of pictures of it"
        if left < -0.1:
            says = f"by the name it denoises pictures of it worse than by the anchor ({left:.0%})"
        return Finding(min(max(left, 0.0), 1.0), says, figures, rows)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _losses(
    model: Model, prompts: dict[str, list[str]], latents: Tensor, times: list[int], track: Track
) -> Losses:
    found: Losses = {name: [] for name in prompts}
    for t in track(times, "denoising pictures of it"):
        for name, told in prompts.items():
            found[name].append(loss(model, told, latents, t))
    return found


@torch.no_grad()
def loss(model: Model, prompts: list[str], latents: Tensor, t: int) -> float:
    """Mean squared error of the noise that a model sees in noised latents [n, c, h, w]."""
    states, noise = noised(model.schedule, latents, t, "gap")
    read = model.text.encode(prompts).condition
    total = 0.0
    with model.autocast():
        for rows in torch.arange(len(latents)).split(model.batch):
            there = states[rows].to(model.device)
            seen = model.denoiser(there, torch.full((len(rows),), t).to(there.device), read[rows])
            total += float((seen.float().cpu() - noise[rows]).square().sum())
    return total / noise.numel()
