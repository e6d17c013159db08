"""What an erasure is going to take: counted, and timed without leaving a trace."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ckptedit.concepts import lexicon_of
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.diffusion import Model, open_model
from ckptedit.erasure.bank import SAMPLING_STEPS
from ckptedit.erasure.kv import KVWeights
from ckptedit.erasure.options import Options
from ckptedit.erasure.outlook import Outlook, look_ahead
from ckptedit.families import Family
from ckptedit.files import Checkpoint

REQUEST = Request(
    (Target("van gogh", "style", "photo"),),
    (),
    {"style": ("monet",), "object": ()},
    {"style": (), "object": ("cat", "dog")},
)
FEW = Options(steps=10, batch=2, pictures=3, moments=4)


@pytest.fixture(scope="module")
def model(checkpoint: Path, family: Family) -> Model:
    return open_model(checkpoint, family=family, training=True)


@pytest.fixture(scope="module")
def weights(checkpoint: Path, family: Family) -> KVWeights:
    return KVWeights(Checkpoint(checkpoint), family)


def outlook(model: Model, weights: KVWeights, options: Options) -> Outlook:
    return look_ahead(model, lexicon_of(model.family), REQUEST, options, weights, 1)


def test_passes_are_those_of_the_banks_with_and_without_rehearsal(model, weights) -> None:
    drawn_and_taught = 3 * (2 * SAMPLING_STEPS + 4)
    alone = outlook(model, weights, replace(FEW, guards=()))
    assert (alone.passes, alone.steps) == (drawn_and_taught, 10)
    both = outlook(model, weights, replace(FEW, guards=("distill",)))
    assert (both.passes, both.steps) == (2 * drawn_and_taught, 10)


def test_a_vocabulary_is_counted_only_if_it_is_read(model, weights) -> None:
    few = outlook(model, weights, replace(FEW, guards=("gradproj:hard",)))
    many = outlook(model, weights, replace(FEW, guards=("gradproj:soft",)))
    assert few.prompts == 39 and many.prompts > few.prompts + len(model.text.tokenizer)


def test_more_work_takes_more_time_and_more_pictures_more_memory(model, weights) -> None:
    short, long, wide = (
        outlook(model, weights, replace(FEW, guards=(), **more))
        for more in ({}, {"steps": 10_000}, {"pictures": 100_000})
    )
    assert long.seconds > 20 * short.seconds
    a_moment = 4 * (2 * 4 * 8 * 8 + 16 * 32)  # bytes: latents and predictions, and text
    assert wide.memory - short.memory >= 0.99 * 99_997 * 4 * a_moment


def test_a_closed_form_runs_no_unet(model, weights) -> None:
    found = outlook(model, weights, Options(method="uce"))
    assert (found.passes, found.steps) == (0, 0) and 0 < found.seconds < 60


def test_looking_ahead_leaves_generators_gradients_and_weights_alone(model, weights) -> None:
    model.unet.requires_grad_(False)
    before = {name: value.clone() for name, value in model.unet.state_dict().items()}
    random = torch.get_rng_state()
    outlook(model, weights, FEW)
    assert torch.equal(random, torch.get_rng_state())
    for name, parameter in model.unet.named_parameters():
        assert parameter.grad is None and not parameter.requires_grad
        assert torch.equal(parameter, before[name])
