"""A weight in training, that may move in some directions only, and at some of its entries."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.deltas.change import Dense, LowRank, compact, total
from ckptedit.erasure.freedom import Freedom
from ckptedit.errors import BadParam


@dataclass
class Confined:
    """A weight that moves as W = W0 + A Qᵀ, or freely if there is no Q; and never in outputs U.

    The gradient of A is that of W times Q, so the chain rule is applied by hand and the UNet keeps
    its own parameters. Where a mask is false, an entry of W keeps the value that it has; both hold
    exactly, by `Freedom`.
    """

    weight: Parameter  # [out, d]
    directions: Tensor | None  # Q [d, k], orthonormal columns
    initial: LowRank | Dense | None = None  # an edit that comes before all steps; W0 has it
    outputs: Tensor | None = None  # U [out, r], orthonormal columns; Uᵀ (W - W0) = 0
    aside: bool = False  # whether what only the end of a step reads, W0 and A, waits on the host
    start: Tensor = field(init=False)  # W0 [out, d]
    amount: Parameter = field(init=False)  # A [out, k]
    freedom: Freedom = field(init=False)  # of a step
    held: Tensor = field(init=False)  # A after the last step
    touched: Tensor = field(init=False)  # bool [out, d]: what a mask has let move so far

    def __post_init__(self) -> None:
        if self.directions is not None:
            self.directions = self.directions.to(self.weight)
        if self.initial is not None:
            made = torch.from_numpy(self.initial.stretch(0, self.weight.numel()))
            self.weight.data.add_(made.view_as(self.weight).to(self.weight))
        self.start = self._away(self.weight)
        width = self.start.shape[1] if self.directions is None else self.directions.shape[1]
        self.amount = Parameter(self.weight.detach().new_zeros(len(self.start), width))
        self.held = self._away(self.amount)
        self.touched = torch.zeros_like(self.weight, dtype=torch.bool)
        if self.outputs is not None:
            self.outputs = self.outputs.to(self.weight)
        self.freedom = Freedom(self.directions, outputs=self.outputs)

    def take_gradient(self) -> None:
        """Turns the gradient of W into that of A, as far as the mask lets it through."""
        if self.weight.grad is None:
            raise BadParam("no gradient reaches the weights; is the model's text ignored?")
        self.amount.grad = self.reachable(self.hand_over())

    def hand_over(self) -> Tensor:
        """The gradient of W [out, d], which is left without one."""
        gradient, self.weight.grad = self.weight.grad, None
        return torch.zeros_like(self.weight) if gradient is None else gradient

    @torch.no_grad()
    def receive(self, gradient: Tensor, share: float) -> None:
        """Adds a share of a gradient [out, d] to that of W."""
        present = self.weight.grad
        self.weight.grad = gradient * share if present is None else present + gradient * share

    def reachable(self, gradient: Tensor) -> Tensor:
        """What A can follow of a gradient of W [out, d]: [out, k]"""
        return self.freedom(self._inside(gradient))

    def restrict(self, masks: Sequence[Tensor]) -> None:
        """Only entries that are true in all masks may move from now on; none: all may."""
        new = torch.stack([mask.to(self.weight.device) for mask in masks]).all(0) if masks else None
        self.touched |= True if new is None else new
        now = self.freedom.mask
        if now is not None and new is not None and torch.equal(now, new):
            return
        self.freedom = Freedom(self.directions, new, self.outputs)

    @torch.no_grad()
    def move(self) -> None:
        """W follows A, which has moved."""
        held = self._here(self.held)
        self.amount.copy_(held + self.freedom(self.amount - held))
        self._write()

    @torch.no_grad()
    def stand(self, amount: Tensor) -> None:
        """Goes on from another A."""
        self.amount.copy_(amount)
        self._write()

    @torch.no_grad()
    def follow(self) -> None:
        """Takes over what was changed of the weight since `move`, as far as Q and mask allow it."""
        self.amount.add_(self.reachable(self.weight - (self._here(self.start) + self.delta())))
        self._write()

    @torch.no_grad()
    def delta(self) -> Tensor:
        """W - W0 as it was trained: [out, d]; exactly zero where the mask was never true."""
        amount = self.amount.detach()
        moved = amount if self.directions is None else amount @ self.directions.T
        return torch.where(self.touched, moved, 0)

    def change(self) -> LowRank | Dense:
        """All of the edit, as its factors where they are smaller."""
        rows = self.touched == self.touched[:, :1]  # of A that never moved are zero
        if self.directions is None or not rows.all():
            own: LowRank | Dense = Dense(self.delta().float().cpu().numpy())
        else:
            amount = self.amount.detach().float().cpu().numpy()
            own = compact(amount, self.directions.float().cpu().numpy().T)
        return own if self.initial is None else total(self.initial, own)

    def _write(self) -> None:
        self.weight.copy_(self._here(self.start) + self.delta())
        self.held.copy_(self.amount)

    def _away(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor where it waits."""
        copy = tensor.detach().clone()
        return copy.cpu().pin_memory() if self.aside and copy.device.type == "cuda" else copy

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.weight.device, non_blocking=True)

    def _inside(self, change: Tensor) -> Tensor:
        return change if self.directions is None else change @ self.directions
