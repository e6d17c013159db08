"""What any objective must satisfy. A new line in OBJECTIVES is tested here without a new test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ckptedit.concepts.prompts import Pair
from ckptedit.diffusion import Model, kv_parameters, open_model
from ckptedit.erasure.bank import bank
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.erasure.train import train
from ckptedit.erasure.trained import looks, predict
from ckptedit.families import kv_weights
from ckptedit.guards.guard import Setting

PAIRS = [
    Pair("a cat in van gogh style", "a photo of a cat", name="van gogh"),
    Pair("van gogh", "a photo", name="van gogh"),
]
KEPT = [Pair("a dog in monet style", "a dog in monet style")]


@pytest.fixture(scope="session")
def attentive(checkpoint, tmp_path_factory) -> Path:
    """The tiny model, whose random weights hardly hear its text, with the text made louder."""
    louder = tmp_path_factory.mktemp("attentive") / "tiny.safetensors"
    tensors = load_file(checkpoint)
    loud = {name: 8 * tensors[name] for name in tensors if "attn2.to_out.0.weight" in name}
    save_file(tensors | loud, louder)
    return louder


@pytest.fixture
def model(attentive, family) -> Iterator[Model]:
    yield open_model(attentive, family=family, precision="float32")


@pytest.fixture(params=list(OBJECTIVES))
def objective(request) -> Objective:
    return OBJECTIVES[request.param]()


def setting(model: Model, steps: int = 12, roles: str = "kv") -> Setting:
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
        weights=weights(model, roles),
        moments=lambda want: bank(model, pairs[want.of], want=want, **size),
        student=lambda moments: predict(model, moments),
        looks=lambda moments: looks(model, moments),
        schedule=model.schedule,
        batch=3,
        steps=steps,
    )


def weights(model: Model, roles: str) -> dict[str, torch.nn.Parameter]:
    found = kv_weights(model.checkpoint, model.family)
    live = kv_parameters(model.unet, [weight.name for weight in found if weight.role in roles])
    for parameter in live.values():
        parameter.requires_grad_(True)
    return live


def values(objective: Objective, seed: int = 0) -> dict[str, Tensor]:
    return dict(objective.terms(torch.Generator().manual_seed(seed)))


def test_the_terms_are_named_finite_scalars_that_the_seed_decides(model, objective):
    objective.start(setting(model))
    first, again, other = values(objective), values(objective), values(objective, seed=1)
    assert first and all(term.ndim == 0 and term.isfinite() for term in first.values())
    assert first == again and first != other


def test_gradients_reach_every_weight_that_is_edited_and_nothing_else(model, objective):
    known = setting(model, roles=objective.roles[0])
    objective.start(known)
    for term in values(objective).values():
        term.backward()
    for name, parameter in known.weights.items():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    ours = {id(parameter) for parameter in known.weights.values()}
    others = [p for p in model.unet.parameters() if id(p) not in ours]
    assert all(parameter.grad is None for parameter in others)


def test_training_makes_the_terms_smaller(model, objective, monkeypatch):
    """With all else that it learns held as it is (critics, medians, multipliers), and but for terms
    that are nothing at the start and can only grow. Noise that is matched cannot be known, so terms
    of it fall by little."""
    known = setting(model, roles=objective.roles[0])
    start = {name: weight.detach().clone() for name, weight in known.weights.items()}
    monkeypatch.setattr(objective, "after_step", lambda: None)
    train(objective, [], known, lr=3e-3, seed=0)
    after = {name: value.item() for name, value in values(objective).items()}
    for name, weight in known.weights.items():
        weight.data.copy_(start[name])
    before = {name: value.item() for name, value in values(objective).items()}
    least = 1e-6 * max(map(abs, before.values()))
    falling = [name for name, value in before.items() if abs(value) > least]
    gone = sum(before[name] - after[name] for name in falling)
    assert gone > 1e-3 * sum(abs(before[name]) for name in falling)


def test_what_it_remembers_it_takes_back(model, objective):
    objective.start(setting(model))
    values(objective)
    objective.after_step()
    state = objective.state()
    fresh = type(objective)()
    fresh.start(setting(model))
    fresh.restore(state)
    assert values(fresh) == values(objective)
