"""A small network that learns to tell two sorts of latents apart."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import Conv2d, LeakyReLU, Sequential

WIDTH = 32  # channels after the first layer
SLOPE = 0.2  # of what is below zero
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW


class Critic:
    """Three convolutions and their AdamW; its weights are drawn with a seed of their own.

    Without the batch or spectral norms of the published ones: with the first, a verdict depends on
    who else is judged; the second holds it below what the divergence is.
    """

    def __init__(self, channels: int, *, lr: float, device: torch.device) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Sequential(
                Conv2d(channels, WIDTH, 3, stride=2, padding=1),
                LeakyReLU(SLOPE),
                Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1),
                LeakyReLU(SLOPE),
                Conv2d(2 * WIDTH, 1, 3, padding=1),
            )
        self.net.requires_grad_(False).to(device)
        self.weights = list(self.net.parameters())
        self.adam = torch.optim.AdamW(self.weights, lr=lr)

    def __call__(self, latents: Tensor) -> Tensor:
        """One score for each patch of latents [b, c, h, w]: [b, p]."""
        scores: Tensor = self.net(latents).flatten(1)
        return scores

    def learn(self, loss: Callable[[], Tensor]) -> None:
        """One step down a loss that is made of its scores."""
        self.net.requires_grad_(True)
        gradients = torch.autograd.grad(loss(), self.weights)
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        self.adam.step()
        self.adam.zero_grad()
        self.net.requires_grad_(False)

    def state(self) -> dict[str, Tensor]:
        """What `restore` needs to go on from here."""
        found = {f"critic.{i}": weight.detach() for i, weight in enumerate(self.weights)}
        for i, weight in enumerate(self.weights):
            kept = self.adam.state[weight]
            found |= {f"critic.{name}.{i}": kept[name] for name in MOMENTS if name in kept}
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what `state` returned."""
        for i, weight in enumerate(self.weights):
            weight.data.copy_(state[f"critic.{i}"])
            kept = {name: state.get(f"critic.{name}.{i}") for name in MOMENTS}
            self.adam.state[weight] = {
                name: value.clone().to("cpu" if name == "step" else weight.device)
                for name, value in kept.items()
                if value is not None
            }
