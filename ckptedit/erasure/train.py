"""The one training loop. It knows no objective and no guard by name.

A step, in this order:

1. every term of the objective, then every guard's penalty: backward through each as it comes
2. guards, `after_backward`: the gradients of the weights may be changed
3. the gradients are confined to the directions that the guards allow, and Adam moves the amounts
4. the weights follow: W = W0 + A Qᵀ, so that the step is confined too, not only its gradient
5. objective and guards, `after_step`: the weights may be changed, as far as Q allows it
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import cos, isfinite, pi

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.erasure.confined import Confined
from ckptedit.erasure.memory import FORGETFUL, Memory
from ckptedit.erasure.method import Solution
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Setting, confine
from ckptedit.progress import Track, silent

LAST = 1 / 20  # of lr: what the rate falls to


def train(
    weights: Mapping[str, Parameter],
    objective: Objective,
    guards: Sequence[Guard],
    setting: Setting,
    *,
    steps: int,
    lr: float,
    seed: int,
    memory: Memory = FORGETFUL,
    track: Track = silent,
) -> Solution:
    """Runs Adam with a cosine rate on the K/V weights of a live model, which it leaves edited.

    weights: name -> parameter [out, d], float32; no other of the model must require gradients
    lr:      first step of an entry of W, root mean square, whatever directions W is confined to
    memory:  keeps the state of the training, and knows where an interrupted one stood
    Raises BadParam if there is nothing to train, or if the loss becomes NaN or infinite.
    """
    if not weights:
        raise BadParam("there is nothing to train: no cross-attention K/V weights")
    objective.start(setting)
    asked = [guard.start(weights, setting) for guard in guards]
    allowed = confine([directions for directions in asked if directions is not None])
    training = Training(
        [Confined(weight, allowed) for weight in weights.values()], objective, guards, seed
    )
    first = training.restore(memory.recall())
    peak, last = lr * _gain(allowed), lr * LAST
    for step in track(range(first, steps), "erasing", steps - first, training.note):
        rate = last + (peak - last) * (1 + cos(pi * step / steps)) / 2
        try:
            training.step(rate)
        except BadParam as error:
            raise BadParam(f"{error} at step {step + 1}; is lr {lr:g} too high?") from None
        memory.keep(partial(training.state, step + 1), last=step + 1 == steps)
    edits = {name: part.change() for name, part in zip(weights, training.parts, strict=True)}
    return Solution(edits, allowed)


class Training:
    """All that changes from step to step."""

    def __init__(
        self,
        parts: Sequence[Confined],
        objective: Objective,
        guards: Sequence[Guard],
        seed: int,
    ) -> None:
        self.parts, self.objective, self.guards = parts, objective, guards
        self.rng = torch.Generator().manual_seed(seed)
        self.adam = torch.optim.Adam([part.amount for part in parts])
        self.smoothed = 0.0  # the loss, averaged over the last ten steps or so

    def step(self, rate: float) -> None:
        """One step. Raises BadParam if the loss is NaN or infinite."""
        total = 0.0
        for term in self._terms():
            total += (value := term.item())
            if not isfinite(value):
                raise BadParam(f"the loss is {value}")
            term.backward()
        for guard in self.guards:
            guard.after_backward()
        for part in self.parts:
            part.take_gradient()
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        for part in self.parts:
            part.move()
        for stage in (self.objective, *self.guards):
            stage.after_step()
        for part in self.parts:
            part.follow()
        self.smoothed = 0.9 * self.smoothed + 0.1 * total if self.smoothed else total

    def _terms(self) -> Iterator[Tensor]:
        for _, term in self.objective.terms(self.rng):
            yield term
        for guard in self.guards:
            if (penalty := guard.penalty(self.rng)) is not None:
                yield penalty

    def note(self) -> str:
        """What stands beside the progress."""
        return f"loss {self.smoothed:.4f}"

    def state(self, done: int) -> dict[str, Tensor]:
        """What a training that is interrupted after `done` steps needs to go on."""
        state = {"done": torch.tensor(done), "rng": self.rng.get_state()}
        state["smoothed"] = torch.tensor(self.smoothed, dtype=torch.float64)
        for i, part in enumerate(self.parts):
            moments = self.adam.state[part.amount]
            state[f"amount.{i}"] = part.amount.detach()
            state |= {f"{name}.{i}": moments[name] for name in ADAM}
        for i, stage in enumerate((self.objective, *self.guards)):
            state |= {f"stage.{i}.{name}": value for name, value in stage.state().items()}
        return state

    def restore(self, state: Mapping[str, Tensor] | None) -> int:
        """Takes back what `state` returned; how many steps are done."""
        if state is None:
            return 0
        self.rng.set_state(state["rng"])
        self.smoothed = float(state["smoothed"])
        for i, part in enumerate(self.parts):
            part.amount.data.copy_(state[f"amount.{i}"])
            self.adam.state[part.amount] = {
                name: state[f"{name}.{i}"].to(part.amount.device if name != "step" else "cpu")
                for name in ADAM
            }
            part.move()
        for i, stage in enumerate((self.objective, *self.guards)):
            start = f"stage.{i}."
            own = {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
            stage.restore(own)
        return int(state["done"])


ADAM = ("step", "exp_avg", "exp_avg_sq")


def _gain(directions: Tensor | None) -> float:
    """What a rate for W must be multiplied by to be one for A, Adam moving every entry alike.

    A step of 1 in each of A's k columns moves W's d columns by sqrt(k / d), root mean square.
    """
    return 1.0 if directions is None else (len(directions) / directions.shape[1]) ** 0.5
