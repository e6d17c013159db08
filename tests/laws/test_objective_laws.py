"""What any objective must satisfy. A new line in OBJECTIVES is tested here without a new test."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ckptedit.concepts.prompts import Pair
from ckptedit.diffusion import Model, kv_parameters, open_model
from ckptedit.erasure.bank import bank
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.erasure.train import train
from ckptedit.erasure.trained import predict
from ckptedit.families import kv_weights
from ckptedit.guards.guard import Setting

PAIRS = [Pair("a cat in van gogh style", "a photo of a cat"), Pair("van gogh", "a photo")]
KEPT = [Pair("a dog in monet style", "a dog in monet style")]


@pytest.fixture
def model(checkpoint, family) -> Iterator[Model]:
    yield open_model(checkpoint, family=family, precision="float32")


@pytest.fixture(params=list(OBJECTIVES))
def objective(request) -> Objective:
    return OBJECTIVES[request.param]()


def setting(model: Model, steps: int = 30) -> Setting:
    pairs = {"targets": PAIRS, "retained": KEPT}
    size = {"pictures": 2, "moments": 12, "seed": 0}
    target, retain = (model.text.encode([p.prompt for p in each]).hidden for each in (PAIRS, KEPT))
    return Setting(
        kind="style",
        target=target,
        retain=retain,
        keep=torch.ones(retain.shape[:2], dtype=torch.bool),
        anchors=model.text.encode([pair.anchor for pair in PAIRS]).hidden,
        general=lambda: torch.eye(target.shape[2], dtype=torch.float64),
        weights=weights(model),
        moments=lambda want: bank(model, pairs[want.of], want=want, **size),
        student=lambda moments: predict(model, moments),
        schedule=model.schedule,
        batch=3,
        steps=steps,
    )


def weights(model: Model) -> dict[str, torch.nn.Parameter]:
    found = kv_parameters(
        model.unet, [weight.name for weight in kv_weights(model.checkpoint, model.family)]
    )
    for parameter in found.values():
        parameter.requires_grad_(True)
    return found


def values(objective: Objective, seed: int = 0) -> dict[str, Tensor]:
    return dict(objective.terms(torch.Generator().manual_seed(seed)))


def test_the_terms_are_named_finite_scalars_that_the_seed_decides(model, objective):
    objective.start(setting(model))
    first, again, other = values(objective), values(objective), values(objective, seed=1)
    assert first and all(term.ndim == 0 and term.isfinite() for term in first.values())
    assert first == again and first != other


def test_gradients_reach_every_key_and_value_weight_and_nothing_else(model, objective):
    known = setting(model)
    objective.start(known)
    for term in values(objective).values():
        term.backward()
    for name, parameter in known.weights.items():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    ours = {id(parameter) for parameter in known.weights.values()}
    others = [p for p in model.unet.parameters() if id(p) not in ours]
    assert all(parameter.grad is None for parameter in others)


def test_training_makes_the_terms_smaller(model, objective):
    """All that it holds by the end (masks, multipliers) is the same on both sides. Noise that is
    matched cannot be known, so terms of it fall by little."""
    known = setting(model)
    start = {name: weight.detach().clone() for name, weight in known.weights.items()}
    train(objective, [], known, lr=3e-3, seed=0)
    after = sum(value.item() for value in values(objective).values())
    for name, weight in known.weights.items():
        weight.data.copy_(start[name])
    before = sum(value.item() for value in values(objective).values())
    assert after < before - 1e-3 * abs(before)


def test_what_it_remembers_it_takes_back(model, objective):
    objective.start(setting(model))
    values(objective)
    objective.after_step()
    state = objective.state()
    fresh = type(objective)()
    fresh.start(setting(model))
    fresh.restore(state)
    assert values(fresh) == values(objective)
