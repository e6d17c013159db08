"""Concept ablation and ESD: their gradients, worked out by hand on a linear model."""

import pytest
import torch

from ckptedit.diffusion.moments import EMPTY, OWN, TARGETS
from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.erasure.objectives.conabl_noise import ConAblNoise
from ckptedit.erasure.objectives.esd import ESD
from erasure.toy import Toy, gradient, moments, setting


@pytest.fixture
def model():
    return Toy()


def batches(known, count=1, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [known.moments(TARGETS).pick(known.batch, rng) for _ in range(count)]


def by_hand(model, text, aim):
    """Of the mean square of W e - aim: 2 / N times the sum of (W e - aim) eᵀ."""
    read = text.tokens.mean(1)
    left = read @ model.weight.detach().T - aim.flatten(1)
    return 2 / left.numel() * left.T @ read


def test_ablation_has_the_gradient_that_is_worked_out_by_hand(model):
    known = setting(model)
    (shown,) = batches(known)
    expected = by_hand(model, shown.text, shown.aim)
    torch.testing.assert_close(gradient(ConAbl(), model, known), expected)


def test_with_the_student_as_its_teacher_the_loss_is_four_times_as_large_and_the_anchor_is_fixed(
    model,
):
    """As published: summed over the four channels of the latent, divided by the pixels."""
    known = setting(model)
    (shown,) = batches(known)
    aim = (shown.told.tokens.mean(1) @ model.weight.detach().T).unflatten(1, (4, 2, 2))
    objective = ConAbl(teacher="student")
    torch.testing.assert_close(
        gradient(objective, model, known), 4 * by_hand(model, shown.text, aim)
    )
    ((_, loss),) = objective.terms(torch.Generator().manual_seed(0))
    published = (model(shown) - aim).square().sum((1, 2, 3)) / 4  # pixels
    torch.testing.assert_close(loss, published.mean())


def test_the_anchor_is_preserved_on_pictures_of_its_own_under_its_own_prompt(model):
    known = setting(model)
    shown, again = batches(known, 2)
    kept = by_hand(model, again.told, again.noise)
    expected = by_hand(model, shown.text, shown.aim) + 0.5 * kept
    torch.testing.assert_close(gradient(ConAbl(preserve=0.5), model, known), expected)


def test_noise_based_ablation_matches_the_noise_in_the_anchors_pictures(model):
    known = setting(model)
    (shown,) = batches(known)
    expected = by_hand(model, shown.text, shown.noise)
    torch.testing.assert_close(gradient(ConAblNoise(), model, known), expected)


@pytest.mark.parametrize("source, eta", [("empty", 1.0), ("prompt", 2.0)])
def test_esd_goes_as_far_beyond_the_empty_prompt_as_the_concept_lies_before_it(model, source, eta):
    """The paper's and the released code's ways to say so; a line of numbers: 3, 1 and so -1."""
    known = setting(model)
    (shown,) = batches(known)
    aim = 2 * shown.views[EMPTY] - shown.views[OWN]
    found = gradient(ESD(source=source, eta=eta), model, known)
    torch.testing.assert_close(found, by_hand(model, shown.text, aim))


def test_esd_from_the_anchor_subtracts_the_concept_from_it(model):
    known = setting(model)
    (shown,) = batches(known)
    aim = shown.aim - 0.5 * (shown.views[OWN] - shown.views[EMPTY])
    found = gradient(ESD(source="anchor", eta=0.5), model, known)
    torch.testing.assert_close(found, by_hand(model, shown.text, aim))


def test_moments_as_they_were_told_read_the_anchors_prompts():
    found = moments(0)
    assert torch.equal(found.as_told().text.tokens, found.told.tokens)
    assert torch.equal(found.as_told().aim, found.aim)
