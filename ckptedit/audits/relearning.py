"""Relearning: how soon the concept comes back when the model is trained on something else.

Fine-tuning on harmless pictures brings erased concepts back (Suriyakumar et al., Unstable
Unlearning, 2024, https://arxiv.org/abs/2410.08074), and the less the weights had moved, the sooner:
so whatever holds drift down is to be seen beside this curve. The edited model is trained on
pictures that the original draws of retained concepts, by the plain denoising loss and Adam with a
constant rate, and after 0, ⅛, ¼, ½ and all of the steps it draws the concept by name, each time
from the same noise; a judge says in how many pictures it is seen. Not one picture or prompt of the
training names the concept.

Departs from the paper: pictures by the original in place of photographs; K/V alone by default, as a
LoRA of cross-attention would be, or the whole UNet (`trains=unet`).
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.audits.drawn import cells, draw, share_seen
from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Subject
from ckptedit.concepts.templates import OTHER, TRAIN_FRAMES
from ckptedit.diffusion import Model, kv_parameters, open_model
from ckptedit.erasure.kv import KVWeights
from ckptedit.errors import BadParam
from ckptedit.evaluation.suite import Cell
from ckptedit.params import Within
from ckptedit.progress import Track, silent

PARTS = (0, 1 / 8, 1 / 4, 1 / 2, 1)  # of the steps, after which it is asked


class Relearning(Probe):
    """The share of pictures with the concept, against steps of training on retained concepts."""

    by = "training"
    runs = True
    judged = True
    bounds: ClassVar[Mapping[str, Bound]] = {"max_relearned": Bound("relearned", share=True)}

    def __init__(
        self,
        *,
        steps: Annotated[int, Within("[8, inf)"), "of training"] = 160,
        lr: Annotated[float, Within("(0, inf)"), "of Adam"] = 1e-4,
        batch: Annotated[int, Within("[1, inf)"), "pictures a step"] = 8,
        pictures: Annotated[int, Within("[1, inf)"), "of retained concepts to train on"] = 32,
        asked: Annotated[int, Within("[1, inf)"), "pictures of the concept, each time"] = 12,
        trains: Annotated[Literal["kv", "unet"], "which weights"] = "kv",
    ) -> None:
        self.steps, self.lr, self.batch = steps, lr, batch
        self.pictures, self.asked, self.trains = pictures, asked, trains

    def run(self, subject: Subject, track: Track) -> Finding:
        wanted = cells(subject, self.asked)
        whole = share_seen(subject, wanted, draw(subject.teacher, wanted, track=track))
        lessons = self._lessons(subject)
        shown = draw(subject.teacher, lessons, track=track)
        # its own copy: what is trained here must not be what another probe asks
        model = open_model(
            subject.checkpoint, device=subject.device, family=subject.family, text=subject.edited,
            precision="float32" if self.trains == "unet" else "auto", training=True,
        )  # fmt: skip
        stops = sorted({round(self.steps * part) for part in PARTS})
        rows, losses = [], self._trained(model, lessons, shown, subject.seed)
        for step in track(range(self.steps + 1), "training on what stays"):
            if step in stops:
                seen = share_seen(subject, wanted, draw(model, wanted, track=silent))
                rows.append({"steps": step, "seen": seen, "ua": 1 - seen})
            if step < self.steps:
                next(losses)
        best = max(rows, key=lambda row: (row["seen"], -row["steps"]))
        figures = {
            "relearned": best["seen"], "after": best["steps"], "start": rows[0]["seen"],
            "end": rows[-1]["seen"], "original": whole, "steps": self.steps,
            "trains": self.trains, "lr": self.lr,
        }  # fmt: skip
        says = (
            f"seen in {rows[0]['seen']:.0%} of pictures, in {best['seen']:.0%} after "
            f"{best['steps']} of {self.steps} steps of training on other concepts (original "
            f"{whole:.0%})"
        )
        left = min(best["seen"] / whole, 1.0) if whole else None
        return Finding(left, says, figures, rows)

    def _lessons(self, subject: Subject) -> list[Cell]:
        """What to train on: other concepts of the kind beside the target's companions."""
        kind, company = subject.target.kind, subject.company
        others, beside = company.others, company.companions
        if not beside or subject.target.anchor in others[:1]:
            raise BadParam("the lexicon has no other concepts to train on; relearning needs some")
        each = [(name, company) for company in beside for name in others]
        return [
            Cell(**dict(zip((kind, OTHER[kind]), each[i % len(each)], strict=True)),
                 seed=subject.seed + i, frame=TRAIN_FRAMES[i % len(TRAIN_FRAMES)])
            for i in range(self.pictures)
        ]  # fmt: skip

    def _trained(
        self, model: Model, lessons: list[Cell], latents: Tensor, seed: int
    ) -> Iterator[float]:
        """Trains a step whenever it is asked for the next loss."""
        rng = torch.Generator().manual_seed(seed)
        weights = self._weights(model)
        optimizer = torch.optim.Adam(weights, lr=self.lr)
        read = model.text.encode([cell.prompt for cell in lessons]).condition
        while True:
            rows = torch.randint(len(lessons), (self.batch,), generator=rng)
            t = torch.randint(model.schedule.timesteps, (self.batch,), generator=rng)
            noise = torch.randn(latents[rows].shape, generator=rng)
            states = model.schedule.add_noise(latents[rows], noise, t).to(model.device)
            with model.autocast():
                text = read[rows.to(model.device)]
                seen = model.denoiser(states, t.to(model.device), text)
            loss = (seen.float() - noise.to(model.device)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield float(loss.detach())

    def _weights(self, model: Model) -> list[Parameter]:
        if self.trains == "unet":
            found = list(model.unet.parameters())
        else:
            names = list(KVWeights(model.checkpoint, model.family))
            found = list(kv_parameters(model.unet, names).values())
        for weight in found:
            weight.requires_grad_()
        return found
