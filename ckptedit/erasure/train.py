"""The one training loop. It knows no objective and no guard by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Generator, Tensor
from torch.nn import Parameter

from ckptedit.deltas.change import Dense, LowRank
from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Setting, confine
from ckptedit.progress import Track, silent


@dataclass
class Confined:
    """A weight that moves as W = W0 + A Qᵀ, or freely if there is no Q.

    The gradient of A is that of W times Q, so the chain rule is applied by hand and the UNet keeps
    its own parameters.
    """

    weight: Parameter  # [out, d]
    directions: Tensor | None  # Q [d, k], orthonormal columns
    start: Tensor = field(init=False)  # W0 [out, d]
    amount: Parameter = field(init=False)  # A [out, k]

    def __post_init__(self) -> None:
        self.start = self.weight.detach().clone()
        width = self.start.shape[1] if self.directions is None else self.directions.shape[1]
        self.amount = Parameter(self.start.new_zeros(len(self.start), width))

    def take_gradient(self) -> None:
        gradient = self.weight.grad
        if gradient is None:
            raise BadParam("no gradient reaches the weights; is the model's text ignored?")
        self.amount.grad = gradient if self.directions is None else gradient @ self.directions
        self.weight.grad = None

    @torch.no_grad()
    def move(self) -> None:
        self.weight.copy_(self.start + self.delta())

    @torch.no_grad()
    def follow(self) -> None:
        """Takes over what a guard has changed of the weight since `move`, as far as Q allows it."""
        changed = self.weight - (self.start + self.delta())
        if changed.any():
            self.amount.add_(changed if self.directions is None else changed @ self.directions)
            self.move()

    @torch.no_grad()
    def delta(self) -> Tensor:
        amount = self.amount.detach()
        return amount if self.directions is None else amount @ self.directions.T

    def change(self) -> LowRank | Dense:
        """W - W0 as it was trained: its factors A and Qᵀ where they are smaller, or all of it."""
        out, width = self.start.shape
        if self.directions is None or self.directions.shape[1] * (out + width) >= out * width:
            return Dense(self.delta().float().cpu().numpy())
        amount, directions = self.amount.detach().float(), self.directions.float()
        return LowRank.of(amount.cpu().numpy(), directions.cpu().numpy().T)


@dataclass(frozen=True)
class Trained:
    """edits: name -> the change of that weight; directions: Q that they were confined to."""

    edits: dict[str, LowRank | Dense]
    directions: Tensor | None


def train(
    weights: Mapping[str, Parameter],
    loss_at: Callable[[Generator], Tensor],
    guards: Sequence[Guard],
    setting: Setting,
    *,
    steps: int,
    lr: float,
    seed: int,
    track: Track = silent,
) -> Trained:
    """Runs Adam with a cosine rate on the K/V weights of a live model, which it leaves edited.

    weights: name -> parameter [out, d]; all others of the model must not require gradients
    lr:      first step of an entry of W, root mean square, whatever directions W is confined to
    loss_at: the objective on one batch, drawn with the generator it is given
    Raises BadParam if there is nothing to train, or if the loss becomes NaN or infinite.
    """
    if not weights:
        raise BadParam("there is nothing to train: no cross-attention K/V weights")
    asked = [guard.start(weights, setting) for guard in guards]
    allowed = confine([directions for directions in asked if directions is not None])
    parts = {name: Confined(weight, _on(weight, allowed)) for name, weight in weights.items()}
    optimizer = torch.optim.Adam([part.amount for part in parts.values()], lr=lr * _gain(allowed))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=lr / 20)
    rng = torch.Generator().manual_seed(seed)
    losses = [0.0]
    for step in track(range(steps), "erasing", steps, lambda: f"loss {losses[-1]:.4f}"):
        loss = loss_at(rng)
        for penalty in (guard.penalty(rng) for guard in guards):
            loss = loss if penalty is None else loss + penalty
        value = loss.item()
        if not isfinite(value):
            raise BadParam(f"the loss is {value} at step {step + 1}; is lr {lr:g} too high?")
        loss.backward()
        for guard in guards:
            guard.after_backward()
        for part in parts.values():
            part.take_gradient()
        optimizer.step()
        schedule.step()
        for part in parts.values():
            part.move()
        for guard in guards:
            guard.after_step()
        for part in parts.values():
            part.follow()
        losses.append(value if step == 0 else 0.9 * losses[-1] + 0.1 * value)
    return Trained({name: part.change() for name, part in parts.items()}, allowed)


def _gain(directions: Tensor | None) -> float:
    """What a rate for W must be multiplied by to be one for A, Adam moving every entry alike.

    A step of 1 in each of A's k columns moves W's d columns by sqrt(k / d), root mean square.
    """
    return 1.0 if directions is None else (len(directions) / directions.shape[1]) ** 0.5


def _on(weight: Parameter, directions: Tensor | None) -> Tensor | None:
    return None if directions is None else directions.to(weight)
