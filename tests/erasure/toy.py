"""The smallest model that reads text: what it sees in a moment is W e, e the mean of the tokens."""

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.diffusion.moments import EMPTY, OWN, Moments, Want
from ckptedit.diffusion.schedule import Schedule
from ckptedit.guards.guard import Setting
from ckptedit.text import Condition

SHAPE, WIDTH = (4, 2, 2), 6
SCHEDULE = Schedule(
    {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "num_train_timesteps": 1000,
    }
)


class Toy:
    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(1)
        self.weight = Parameter(torch.randn(16, WIDTH, generator=rng))

    def __call__(self, moments: Moments) -> Tensor:
        return (moments.text.tokens.mean(1) @ self.weight.T).unflatten(1, SHAPE)


def moments(seed: int, n: int = 8, targets: int = 1) -> Moments:
    """All of it random; the frozen model's predictions are anything."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=rng)

    text, told = Condition(draw(3, WIDTH)), Condition(draw(3, WIDTH))
    views = {OWN: draw(*SHAPE), EMPTY: draw(*SHAPE)}
    t, which = torch.full((n,), 500), torch.arange(n) % targets
    named = torch.arange(3).expand(n, 3) == 1
    return Moments(draw(*SHAPE), t, text, draw(*SHAPE), told, draw(*SHAPE), which, named, views)


def setting(model: Toy, targets: int = 1, batch: int = 5, steps: int = 20) -> Setting:
    """The same moments of the targets, whatever states are wanted."""
    kinds = {"targets": moments(2, targets=targets), "retained": moments(3)}

    def wanted(want: Want) -> Moments:
        return kinds[want.of]

    return Setting(
        kind="style",
        target=torch.randn(2, 3, WIDTH),
        retain=torch.randn(2, 3, WIDTH),
        keep=torch.ones(2, 3, dtype=torch.bool),
        anchors=torch.randn(2, 3, WIDTH),
        general=lambda: torch.eye(WIDTH, dtype=torch.float64),
        weights={"w": model.weight},
        moments=wanted,
        student=model,
        looks=lambda moments: [],
        schedule=SCHEDULE,
        batch=batch,
        steps=steps,
    )


def gradient(objective, model: Toy, known: Setting, seed: int = 0) -> Tensor:
    """That of one batch: [16, WIDTH]."""
    objective.start(known)
    model.weight.grad = None
    for _, term in objective.terms(torch.Generator().manual_seed(seed)):
        term.backward()
    return model.weight.grad
