"""The smallest model that reads text, and its training: what laws of guards are tried on."""

import torch
from torch import Tensor
from torch.nn import Parameter

from ckptedit.diffusion.moments import EMPTY, OWN, Moments
from ckptedit.diffusion.schedule import Schedule
from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.erasure.train import train
from ckptedit.guards.guard import Setting
from ckptedit.text import Condition

OUT, DIM = 6, 24
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULE = Schedule(BETAS | {"num_train_timesteps": 1000})


class Linear:
    """The smallest model that reads text: what it sees in a moment is W e, e the text's tokens."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.weight = Parameter(torch.randn(OUT, DIM))

    def __call__(self, moments: Moments) -> Tensor:
        return moments.text.tokens.flatten(0, 1) @ self.weight.T

    @torch.no_grad()
    def moments(self, tokens: Tensor, aim: Tensor | None = None) -> Moments:
        """As many as there are prompts; the aim is what the model says now, if none is given."""
        read = Condition(tokens)
        nothing, t = torch.zeros(len(tokens), 1, 1, 1), torch.zeros(len(tokens), dtype=torch.long)
        named = torch.ones(tokens.shape[:2], dtype=torch.bool)
        blank = Moments(nothing, t, read, nothing, read, nothing, t, named)
        now = self(blank)
        aim = now if aim is None else aim
        views = {OWN: now, EMPTY: torch.zeros_like(now)}
        return Moments(nothing, t, read, aim, read, torch.zeros_like(now), t, named, views)


def setting(model: Linear) -> Setting:
    rng = torch.Generator().manual_seed(3)
    target = torch.randn(4, 1, DIM, generator=rng)
    retain = torch.randn(5, 1, DIM, generator=rng)
    anchors = torch.randn(2, 1, DIM, generator=rng)
    wanted = model.moments(target, torch.randn(4, OUT, generator=rng))
    kept = model.moments(retain)
    return Setting(
        kind="style",
        target=target,
        retain=retain,
        keep=torch.ones(5, 1, dtype=torch.bool),
        anchors=anchors,
        general=lambda: torch.eye(DIM, dtype=torch.float64),
        weights={"w": model.weight},
        moments=lambda want: wanted if want.of == "targets" else kept,
        student=model,
        looks=lambda moments: [],
        schedule=SCHEDULE,
        batch=3,
        steps=20,
        original={"w": before(model.weight.detach(), anchors, target)},
    )


def before(weight: Tensor, anchors: Tensor, target: Tensor) -> Tensor:
    """W before an edit that wrote where the next one would, and elsewhere."""
    rng = torch.Generator().manual_seed(4)
    wanted = weight @ (anchors.mean((0, 1)) - target.mean((0, 1)))
    left = torch.stack([wanted, torch.randn(OUT, generator=rng)], 1)
    return weight - 0.1 * left @ torch.randn(2, DIM, generator=rng)


def run(guard, seed: int = 0, lr: float = 1e-2) -> tuple[Tensor, Tensor | None, Setting]:
    model = Linear()
    known = setting(model)
    made = train(ConAbl(), [guard], known, lr=lr, seed=seed)
    change = made.edits["w"].stretch(0, OUT * DIM).reshape(OUT, DIM)
    return torch.as_tensor(change).float(), made.directions, known
