"""What any method of erasing must satisfy, trained or not. A new line is tested without a test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target
from ckptedit.diffusion import Model, open_model
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.kv import KVWeights
from ckptedit.erasure.method import Method
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.options import METHODS, Options
from ckptedit.erasure.trained import Trained
from ckptedit.files import Checkpoint
from ckptedit.subspaces.words import Words

REQUEST = Request(
    targets=(Target("van gogh", "style", "photo"),),
    earlier=(),
    retain={"style": ("monet",), "object": ()},
    companions={"style": (), "object": ("cat", "dog")},
)
QUICK = Options(steps=2, batch=2, pictures=2, moments=2, guards=())


def method(name: str, **how) -> Method:
    options = replace(QUICK, method=name, **how)
    return Trained(options) if options.trained else options.make(name)


def solved(name: str, checkpoint: Path, family, request: Request = REQUEST, **options):
    model = open_model(checkpoint, family=family, precision="float32")
    how, roles = method(name, **options), Options(method=name).edited
    weights = KVWeights(Checkpoint(checkpoint), family, roles)
    given = model if how.needs_model else None
    return how.solve(request, Words(model.text, lexicon_of(family)), weights, model=given), weights


def dense(solution) -> dict[str, np.ndarray]:
    return {n: c.stretch(0, int(np.prod(c.shape))) for n, c in solution.edits.items()}


@pytest.mark.parametrize("name", METHODS)
def test_every_key_and_value_weight_it_edits_is_one_and_the_edit_fits(checkpoint, family, name):
    solution, weights = solved(name, checkpoint, family)
    assert solution.edits and solution.edits.keys() <= set(weights)
    for edited, change in solution.edits.items():
        assert change.shape == tuple(weights[edited].shape)
    assert all(np.isfinite(change).all() and change.any() for change in dense(solution).values())


@pytest.mark.parametrize("name", METHODS)
def test_the_same_request_gives_the_same_edit(checkpoint, family, name):
    one, two = (dense(solved(name, checkpoint, family)[0]) for _ in range(2))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[weight], two[weight]) for weight in one)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_default_guards_leave_an_objective_room(checkpoint, family, name):
    """As masks and a few directions for all rows do not, together."""
    solution, _ = solved(name, checkpoint, family, steps=1, guards=None)
    assert all(change.any() for change in dense(solution).values())


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_a_closed_form_needs_no_unet(checkpoint, family, name, monkeypatch):
    def refuse(self):
        raise AssertionError("a UNet was loaded")

    monkeypatch.setattr(Model, "unet", property(refuse))
    assert solved(name, checkpoint, family)[0].edits
