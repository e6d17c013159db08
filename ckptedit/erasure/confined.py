"""A weight in training, that may move in some directions only."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.deltas.change import Dense, LowRank, compact
from ckptedit.errors import BadParam


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
        if self.directions is not None:
            self.directions = self.directions.to(self.weight)
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
        """Takes over what was changed of the weight since `move`, as far as Q allows it."""
        changed = self.weight - (self.start + self.delta())
        self.amount.add_(changed if self.directions is None else changed @ self.directions)
        self.move()

    @torch.no_grad()
    def delta(self) -> Tensor:
        amount = self.amount.detach()
        return amount if self.directions is None else amount @ self.directions.T

    def change(self) -> LowRank | Dense:
        """W - W0 as it was trained: its factors A and Qᵀ where they are smaller, or all of it."""
        amount = self.amount.detach().float().cpu().numpy()
        if self.directions is None:
            return Dense(amount)
        return compact(amount, self.directions.float().cpu().numpy().T)
