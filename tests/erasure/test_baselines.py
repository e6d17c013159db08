"""salun, rgd, vdu, fmn: their masks, terms and states, worked out by hand."""

from dataclasses import replace

import pytest
import torch

from ckptedit.diffusion.moments import OWN
from ckptedit.erasure.ascent import PICTURED, shortfall
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.objectives.salun import largest
from ckptedit.erasure.objectives.vdu import precision
from ckptedit.erasure.train import train
from ckptedit.errors import BadParam
from erasure.toy import Toy, gradient, moments, setting


def batch(known, want=PICTURED, seed=0):
    return known.moments(want).pick(known.batch, torch.Generator().manual_seed(seed))


def terms(objective):
    return dict(objective.terms(torch.Generator().manual_seed(0)))


def test_the_largest_are_of_all_tensors_together_and_a_tie_is_no_more():
    scores = {"a": torch.tensor([[1.0, 5], [2, 2]]), "b": torch.tensor([2.0, 9])}
    found = largest(scores, 0.5)
    assert found["a"].tolist() == [[False, True], [True, False]]
    assert found["b"].tolist() == [False, True]
    assert sum(mask.sum() for mask in largest(scores, 1e-9).values()) == 1


def test_salun_trains_the_half_that_the_targets_loss_depends_on_and_not_a_bit_of_the_rest():
    model = Toy()
    known = setting(model)
    before = model.weight.detach().clone()
    shown = known.moments(PICTURED)
    loss = (model(shown) - shown.noise).square().sum()
    (slope,) = torch.autograd.grad(loss, model.weight)
    expected = slope.abs() > slope.abs().median()
    train(OBJECTIVES["salun"](), [], known, lr=1e-2, seed=0)
    assert torch.equal(model.weight[~expected], before[~expected])
    assert (model.weight != before)[expected].all()


def test_the_label_of_salun_is_the_student_itself_on_the_anchors_prompt():
    model = Toy()
    known = setting(model)
    objective = OBJECTIVES["salun"](retain=0.0)
    objective.start(known)
    with torch.no_grad():
        model.weight *= 1.5  # as training might
    objective.setting = known
    found = terms(objective)
    shown = batch(known)
    label = model(shown.as_told())
    assert found.keys() == {"forget"}
    torch.testing.assert_close(found["forget"], (model(shown) - label).square().mean())
    (slope,) = torch.autograd.grad(found["forget"], model.weight)
    (held,) = torch.autograd.grad((model(shown) - label.detach()).square().mean(), model.weight)
    torch.testing.assert_close(slope, held)


def test_the_mask_of_salun_outlives_an_interruption():
    objective, known = OBJECTIVES["salun"](), setting(Toy())
    objective.start(known)
    again = OBJECTIVES["salun"](share=0.1)
    again.start(known)
    again.restore(objective.state())
    assert torch.equal(again.mask()["w"], objective.mask()["w"])


def test_ascent_goes_on_where_a_sample_errs_by_less_than_the_bound_more_than_it_did():
    known = setting(Toy())
    shown = moments(5, n=3)
    was = torch.tensor([0.5, 0.5, 2.0]).view(-1, 1, 1, 1)
    now = torch.tensor([0.5, 1.0, 2.01]).view(-1, 1, 1, 1)
    shown = replace(shown, views={OWN: shown.noise + was.sqrt()})
    known = replace(known, student=lambda m: m.noise + now.sqrt())
    # of 0.3 that are wanted, 0.3, none, and 0.29 are missing
    torch.testing.assert_close(shortfall(known, shown, 0.3), torch.tensor((0.3 + 0 + 0.29) / 3))


def test_rgd_follows_both_projections_of_the_two_gradients():
    model = Toy()
    known = setting(model, steps=1)
    objective = OBJECTIVES["rgd"](retain=0.7, bound=10.0)
    objective.start(known)
    with torch.no_grad():
        model.weight += 0.1 * torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    forget, retain = (
        torch.autograd.grad(term, model.weight)[0].flatten().double()
        for term in terms(objective).values()
    )
    both = torch.stack([forget, retain])
    shares = torch.tensor(objective.rule("ab", both @ both.T), dtype=torch.float64)
    step = shares @ both
    assert step @ forget > 0 and step @ retain > 0
    if forget @ retain >= 0:
        torch.testing.assert_close(step, forget + 0.7 * retain)


def test_concepts_are_drawn_evenly_however_many_moments_they_have():
    shown = replace(moments(3, n=60), which=torch.tensor([0] * 50 + [2] * 10))
    found = shown.pick_evenly(4000, torch.Generator().manual_seed(0)).which
    assert (found == 2).float().mean() == pytest.approx(0.5, abs=0.03)


def test_vdu_weighs_each_move_by_the_size_of_its_weight_and_its_tensor():
    mean = torch.tensor([[1.0, 3.0]])  # squares 1 and 9, whose mean is 5
    torch.testing.assert_close(precision(mean, 0.5), 1 / (0.25 * torch.tensor([[3.0, 7.0]])))
    model = Toy()
    known = setting(model)
    objective = OBJECTIVES["vdu"](gamma=0.25, spread=0.5, bound=2.0)
    objective.start(known)
    assert terms(objective)["stay"] == 0
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 0.2
    found = terms(objective)
    stay = (0.2**2 * precision(start, 0.5)).mean() / 2
    torch.testing.assert_close(found["stay"], 0.25 * stay)
    short = shortfall(known, batch(known), 2.0)
    torch.testing.assert_close(found["forget"], 0.75 * short)


@pytest.mark.parametrize("tokens, seen", [("concept", [1]), ("onward", [1, 2])])
def test_fmn_lowers_the_squared_attention_to_the_words_and_what_follows(tokens, seen):
    """Of 3 positions, the second is named; two layers of 1 head, of 2 pixels and of 1."""
    known = setting(Toy())
    layers = [torch.rand(5, 1, 2, 3), torch.rand(5, 1, 1, 3)]
    objective = OBJECTIVES["fmn"](tokens=tokens)
    objective.start(replace(known, looks=lambda m: layers))
    found = terms(objective)["attention"]
    expected = [layer[..., seen].square().sum(-1).mean() for layer in layers]
    torch.testing.assert_close(found, sum(expected) / 2)


def test_fmn_refuses_prompts_that_do_not_hold_the_name():
    known = setting(Toy())
    shown = replace(moments(2), named=torch.zeros(8, 3, dtype=torch.bool))
    with pytest.raises(BadParam, match="word for word"):
        OBJECTIVES["fmn"]().start(replace(known, moments=lambda want: shown))


def test_ascent_raises_the_error_on_the_targets_pictures():
    model = Toy()
    known = setting(model)
    slope = gradient(OBJECTIVES["vdu"](gamma=0.0, bound=5.0), model, known)
    shown = batch(known)
    (uphill,) = torch.autograd.grad((model(shown) - shown.noise).square().mean(), model.weight)
    torch.testing.assert_close(slope, -uphill)
