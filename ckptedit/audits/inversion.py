"""The text-free probe: noise that a picture of the concept came from, drawn again.

A picture that the original drew is inverted to noise by the edited model, with DDIM's steps taken
backwards (Song et al., ICLR 2021, https://arxiv.org/abs/2010.02502, section 4.3; as an attack on
erasures: Pham et al., ICLR 2024, https://arxiv.org/abs/2308.01508, and TINA, Li et al., 2024), and
the edited model draws from that noise. No name is said, where the prompt is the empty one, so edits
of what reads names have nothing to hold against it.

An exact inverse gives any picture back, of a model that never knew the concept, too. So the noise
is also mixed with fresh one, √(1 - f²) x_T + f z, which takes the picture out of it step by step:
what still shows the concept then is the model's own, and what the probe goes by. The original is
asked the same, beside it.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from ckptedit.audits.drawn import drawn, share_seen
from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Subject
from ckptedit.diffusion import Model, noises_for
from ckptedit.params import Within
from ckptedit.progress import Track
from ckptedit.text.condition import Condition

FRESH = (0.0, 0.25, 0.5)


class Inversion(Probe):
    """Whether the concept comes back from the noise of its pictures, without its name and with."""

    by = "pictures"
    runs = True
    bounds: ClassVar[Mapping[str, Bound]] = {"max_return": Bound("returned", share=True)}

    def __init__(
        self,
        *,
        pictures: Annotated[int, Within("[1, inf)"), "of the concept"] = 12,
        steps: Annotated[int, Within("[2, 999]"), "of DDIM, each way"] = 25,
    ) -> None:
        self.pictures, self.steps = pictures, steps

    def run(self, subject: Subject, track: Track) -> Finding:
        seen = drawn(subject, self.pictures, track)
        judged = subject.can_judge
        rows: list[dict[str, Any]] = []
        told = {"nothing": [""] * len(seen.cells), "the name": seen.prompts}
        for who, model in (("edited", subject.model), ("original", subject.teacher)):
            for said, prompts in told.items():
                noise = inverted(model, seen.latents, prompts, self.steps, track)
                for fresh in FRESH:
                    again = redrawn(model, _mixed(noise, fresh), prompts, self.steps, track)
                    apart = float((again - seen.latents).norm() / seen.latents.norm())
                    share = share_seen(subject, seen.cells, again) if judged else None
                    rows.append({"model": who, "told": said, "fresh": fresh, "seen": share,
                                 "apart": apart})  # fmt: skip
        rows.sort(key=lambda row: (row["model"] != "edited", -(row["seen"] or 0), row["apart"]))
        free = [row for row in rows if row["model"] == "edited" and row["told"] == "nothing"]
        exact = next(row for row in free if row["fresh"] == 0)
        mixed = next(row for row in free if row["fresh"] == FRESH[-1])
        figures = {
            "returned": exact["seen"], "apart": exact["apart"], "mixed": mixed["seen"],
            "pictures": len(seen.cells), "steps": self.steps,
        }  # fmt: skip
        says = f"pictures of it come back from their noise, {exact['apart']:.0%} apart, untold"
        if judged:
            says = (
                f"{exact['seen']:.0%} of its pictures come back from their noise untold, "
                f"{mixed['seen']:.0%} from half fresh noise"
            )
        return Finding(mixed["seen"], says, figures, rows)


@torch.no_grad()
def inverted(model: Model, latents: Tensor, prompts: list[str], steps: int, track: Track) -> Tensor:
    """Noise [n, c, h, w] that DDIM would draw latents from, by its own steps backwards."""
    times = _times(model, steps)
    return _walked(model, latents, prompts, [0, *times], track, "inverting pictures")


@torch.no_grad()
def redrawn(model: Model, noise: Tensor, prompts: list[str], steps: int, track: Track) -> Tensor:
    """Latents that DDIM draws from noise, without guidance."""
    times = _times(model, steps)
    return _walked(model, noise, prompts, [*times[::-1], 0], track, "drawing them again")


def _times(model: Model, steps: int) -> list[int]:
    last = model.schedule.timesteps - 1
    return [last * (i + 1) // steps for i in range(steps)]


def _walked(
    model: Model, start: Tensor, prompts: list[str], times: list[int], track: Track, label: str
) -> Tensor:
    """Latents after DDIM's steps from each of the times to the next, η = 0."""
    read, done = model.text.encode(prompts).condition, []
    for rows in track(list(torch.arange(len(start)).split(model.batch)), label):
        there, text = start[rows].to(model.device), read[rows.to(model.device)]
        with model.autocast():
            for here, then in pairwise(times):
                there = _stepped(model, there, text, here, then)
        done.append(there.cpu())
    return torch.cat(done)


def _stepped(model: Model, latents: Tensor, text: Condition, here: int, then: int) -> Tensor:
    """√a' x̂0 + √(1 - a') ε with the noise ε seen at `here`: equation 12, whichever way it goes."""
    at = torch.full((len(latents),), here, device=latents.device)
    noise = model.denoiser(latents, at, text).float()
    signal, spread = model.schedule.weights(at, latents)
    clean = (latents - spread * noise) / signal
    return model.schedule.add_noise(clean, noise, torch.full_like(at, then))


def _mixed(noise: Tensor, fresh: float) -> Tensor:
    """As much of it taken out as fresh noise comes in."""
    shape = tuple(noise.shape[1:])
    new = noises_for(shape, [("inversion", i) for i in range(len(noise))])
    return float((1 - fresh**2) ** 0.5) * noise + fresh * new
