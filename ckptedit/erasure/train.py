"""The training loop of an erasure: an objective and guards, on K/V weights. It knows no objective
and no guard by name.

A step, in this order:

1. the objective's terms: backward through each as it comes; their gradients are added up, or
   combined by the objective's rule
2. the guards' penalties are added; of several processes, the gradients are averaged
3. objective and guards, `after_backward`: the gradients of the weights may be changed
4. the gradients are confined to the directions that the guards allow, masked, kept off the outputs
   that they hold, and clipped; Adam (without weight decay) moves the amounts
5. the weights follow: W = W0 + A Qᵀ, so that all this is true of the step too, not only of its
   gradient
6. objective and guards, `after_step`: the weights may be changed, as far as Q and masks allow it
7. objective and guards say what may move from now on: `mask`
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import cos, isfinite, pi
from time import monotonic

import torch
from torch import Tensor

from ckptedit.diffusion.ranks import ALONE, Ranks
from ckptedit.erasure import closed_forms
from ckptedit.erasure.combined import accumulate
from ckptedit.erasure.confined import Confined
from ckptedit.erasure.freedom import joined
from ckptedit.erasure.memory import FORGETFUL, Memory
from ckptedit.erasure.method import Edits, Solution
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Setting, complement, confine
from ckptedit.progress import Track, silent

LAST = 1 / 20  # of lr: what the rate falls to
LONG = 300.0  # seconds: what is left of a training is said if it is more

log = logging.getLogger("ckptedit")


def train(
    objective: Objective,
    guards: Sequence[Guard],
    setting: Setting,
    *,
    lr: float,
    seed: int,
    clip: float | None = None,
    initial: Edits | None = None,
    memory: Memory = FORGETFUL,
    settled: Callable[[], None] = lambda: None,
    aside: bool = False,
    ranks: Ranks = ALONE,
    track: Track = silent,
) -> Solution:
    """Runs Adam with a cosine rate on the K/V weights of a live model, which it leaves edited.

    setting: its weights, [out, d] float32; no others of the model must require gradients
    lr:      first step of an entry of W, root mean square, whatever directions W is confined to
    clip:    the largest norm of a step's gradient; None: any
    initial: an edit to start from; it is not confined, and not seen by the frozen model
    settled: called when all that the frozen model is asked for is there, before the first step
    aside:   whether what only the end of a step reads waits on the host
    ranks:   the processes that train together; `student` and `looks` of the setting share the work
    memory:  keeps the state of the training, and knows where an interrupted one stood
    Raises BadParam if there is nothing to train, or if the loss becomes NaN or infinite.
    """
    weights, steps = setting.weights, setting.steps
    if not weights:
        raise BadParam("there is nothing to train: no cross-attention K/V weights")
    forbidden = [rows for guard in guards if (rows := guard.forbids(setting)) is not None]
    free = complement(forbidden)
    setting = replace(setting, free=free)
    objective.start(setting)
    asked = [free, *(guard.start(setting) for guard in guards)]
    allowed = confine([directions for directions in asked if directions is not None])
    begun = initial or {}
    held = [guard.outputs() for guard in guards]
    parts = {
        name: Confined(
            weight,
            allowed,
            begun.get(name),
            joined([each[name] for each in held if name in each]),
            aside,
        )
        for name, weight in weights.items()
    }
    training = Training(parts, objective, guards, seed, clip, ranks)
    first = training.restore(memory.recall())
    settled()
    peak, last = lr * _gain(allowed), lr * LAST
    began = monotonic()
    for step in track(range(first, steps), "erasing", steps - first, training.note):
        rate = last + (peak - last) * (1 + cos(pi * step / steps)) / 2
        try:
            training.step(rate)
        except BadParam as error:
            raise BadParam(f"{error} at step {step + 1}; is lr {lr:g} too high?") from None
        if step == first:
            foresee(monotonic() - began, steps - first - 1)
        memory.keep(partial(training.state, step + 1), last=step + 1 == steps)
    edits = {name: part.change() for name, part in parts.items()}
    return Solution(
        edits,
        allowed,
        objective.facts(),
        warnings=tuple(each for stage in training.stages for each in stage.warnings()),
        notes=tuple(each for stage in training.stages for each in stage.notes()),
    )


def foresee(seconds: float, steps: int) -> None:
    """Notes how long the steps that are left will take, if that is long.

    seconds: that the first one took
    """
    if steps * seconds < LONG:
        return
    log.warning(
        "the first step took %.0f s, and the other %d will take about %s; a closed form takes "
        "seconds: --method %s", seconds, steps, lasting(steps * seconds), closed_forms.DEFAULT,
    )  # fmt: skip


def lasting(seconds: float) -> str:
    """A time as one says it: "12 min", "3.5 h"."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Training:
    """All that changes from step to step."""

    def __init__(
        self,
        parts: Mapping[str, Confined],
        objective: Objective,
        guards: Sequence[Guard],
        seed: int,
        clip: float | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.parts, self.objective, self.guards, self.clip = parts, objective, guards, clip
        self.ranks = ranks
        self.stages = (objective, *guards)
        self.rng = torch.Generator().manual_seed(seed)
        self.amounts = [part.amount for part in parts.values()]
        fused = self.amounts[0].device.type == "cuda"
        self.adam = torch.optim.Adam(self.amounts, fused=fused or None)
        self.smoothed = 0.0  # the loss, averaged over the last ten steps or so
        self._mask()

    def step(self, rate: float) -> None:
        """One step. Raises BadParam if the loss is NaN or infinite."""
        parts, total = tuple(self.parts.values()), 0.0
        total += accumulate(self.objective.terms(self.rng), self.objective.rule, parts, self.ranks)
        total += accumulate(self._penalties(), None, parts)
        if not isfinite(total):
            raise BadParam(f"the loss is {total}")
        self.ranks.average(part.weight for part in parts)
        for stage in self.stages:
            stage.after_backward()
        for part in parts:
            part.take_gradient()
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.amounts, self.clip)
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        for part in parts:
            part.move()
        for stage in self.stages:
            stage.after_step()
        for part in parts:
            part.follow()
        self._mask()
        self.smoothed = 0.9 * self.smoothed + 0.1 * total if self.smoothed else total

    def _penalties(self) -> Iterator[tuple[str, Tensor]]:
        for guard in self.guards:
            if (penalty := guard.penalty(self.rng)) is not None:
                yield type(guard).__name__, penalty

    def _mask(self) -> None:
        masks = [mask for stage in self.stages if (mask := stage.mask()) is not None]
        for name, part in self.parts.items():
            part.restrict([mask[name] for mask in masks if name in mask])

    def note(self) -> str:
        """What stands beside the progress."""
        return f"loss {self.smoothed:.4f}"

    def state(self, done: int) -> dict[str, Tensor]:
        """What a training that is interrupted after `done` steps needs to go on."""
        state = {"done": torch.tensor(done), "rng": self.rng.get_state()}
        state["smoothed"] = torch.tensor(self.smoothed, dtype=torch.float64)
        for i, part in enumerate(self.parts.values()):
            moments = self.adam.state[part.amount]
            state[f"amount.{i}"] = part.amount.detach()
            state[f"touched.{i}"] = part.touched
            state |= {f"{name}.{i}": moments[name] for name in ADAM}
        for i, stage in enumerate(self.stages):
            state |= {f"stage.{i}.{name}": value for name, value in stage.state().items()}
        return state

    def restore(self, state: Mapping[str, Tensor] | None) -> int:
        """Takes back what `state` returned; how many steps are done."""
        if state is None:
            return 0
        self.rng.set_state(state["rng"])
        self.smoothed = float(state["smoothed"])
        for i, part in enumerate(self.parts.values()):
            self.adam.state[part.amount] = {
                name: state[f"{name}.{i}"].to(part.amount.device if name != "step" else "cpu")
                for name in ADAM
            }
            part.touched.copy_(state[f"touched.{i}"])
            part.stand(state[f"amount.{i}"])
        for i, stage in enumerate(self.stages):
            start = f"stage.{i}."
            own = {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
            stage.restore(own)
        self._mask()
        return int(state["done"])


ADAM = ("step", "exp_avg", "exp_avg_sq")


def _gain(directions: Tensor | None) -> float:
    """What a rate for W must be multiplied by to be one for A, Adam moving every entry alike.

    A step of 1 in each of A's k columns moves W's d columns by sqrt(k / d), root mean square.
    """
    return 1.0 if directions is None else (len(directions) / directions.shape[1]) ** 0.5
