"""f-divergences as functions of s, their scales, and the objective that is made of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from ckptedit.diffusion.schedule import Schedule
from ckptedit.erasure import divergences as of
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.scales import BUCKETS, Adaptive, Fixed, Transition, transition_weights
from ckptedit.errors import BadParam

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULE = Schedule(BETAS | {"num_train_timesteps": 1000})
GENERATORS = {
    "kl": (of.KL, lambda u: u * np.log(u)),
    "reverse kl": (of.KL, lambda u: -np.log(u)),
    "jeffreys": (of.JEFFREYS, lambda u: (u - 1) * np.log(u)),
    "hellinger": (of.HELLINGER, lambda u: (np.sqrt(u) - 1) ** 2),
    "chi2": (of.CHI2, lambda u: (u - 1) ** 2),
    "alpha 0.3": (of.alpha_divergence(0.3), lambda u: (u**0.3 - 1 - 0.3 * (u - 1)) / (0.3 * -0.7)),
    "alpha 1.5": (of.alpha_divergence(1.5), lambda u: (u**1.5 - 1 - 1.5 * (u - 1)) / (1.5 * 0.5)),
    "tv": (of.TV, lambda u: abs(u - 1) / 2),
    "js": (of.JS, lambda u: (u * np.log(u) - (u + 1) * np.log((u + 1) / 2)) / 2),
}


def s(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_closed_form_is_the_integral_of_its_generator(name):
    """E_q[f(p/q)] of N(d, 1) to N(0, 1), whose s is d²."""
    divergence, f = GENERATORS[name]
    for d in (0.1, 0.7, 1.3, 2.5):

        def inner(x, d=d):
            return norm.pdf(x) * f(np.exp(d * x - d * d / 2))

        whole, _ = quad(inner, -12, 14, epsabs=1e-13, epsrel=1e-11, points=[d / 2], limit=200)
        assert divergence.value(s(d * d)).item() == pytest.approx(whole, rel=1e-8, abs=1e-11)


def test_golden_values_of_jensen_shannon():
    distance = s(0.5, 1, 2, 3, 5, 8)
    golden = s(0.0303113, 0.1114215, 0.3368308, 0.5267773, 0.6759426, 0.6930537)
    torch.testing.assert_close(of.JS.value(distance**2), golden, atol=5e-7, rtol=0)
    slopes = s(0.1234566, 0.1110152, 0.0812358, 0.0399591, 0.015540)
    torch.testing.assert_close(of.JS.slope(s(0.05, 0.5, 2, 6, 12)), slopes, atol=1e-6, rtol=0)
    weights = of.JS.weight(s(1, 4, 8, 16))
    torch.testing.assert_close(weights, s(0.80, 0.45, 0.23, 0.069), atol=5e-3, rtol=0)


def test_golden_values_of_the_others():
    """Of 64 dimensions at s = 2.014, and of Hellinger's weight."""
    at = s(2.014)
    for divergence, golden in ((of.HELLINGER, 0.4451), (of.TV, 0.5220), (of.JS, 0.2025)):
        assert divergence.value(at).item() == pytest.approx(golden, abs=1e-4)
    assert of.KL.value(at).item() == pytest.approx(1.007)
    assert of.CHI2.value(at).item() == pytest.approx(6.4932, abs=1e-4)
    weights = of.HELLINGER.weight(s(1, 4, 8, 16))
    golden = s(0.882497, 0.606531, 0.367879, 0.135335)
    torch.testing.assert_close(weights, golden, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_weight_is_what_the_gradient_of_the_loss_is_to_that_of_the_square(name):
    divergence, _ = GENERATORS[name]
    at = s(1e-3, 0.1, 1, 4, 9, 30).requires_grad_()
    (slope,) = torch.autograd.grad(divergence.loss(at).sum(), at)
    torch.testing.assert_close(slope, divergence.weight(at.detach()), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(GENERATORS) - {"tv"}))
def test_all_but_total_variation_are_s_where_s_is_small(name):
    torch.testing.assert_close(GENERATORS[name][0].loss(s(1e-7)), s(1e-7), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", GENERATORS)
def test_no_s_makes_a_loss_or_its_gradient_infinite(name):
    at = s(0, 1e-30, 1e5).requires_grad_()
    loss = GENERATORS[name][0].loss(at)
    (slope,) = torch.autograd.grad(loss.sum(), at)
    assert loss.isfinite().all() and slope.isfinite().all()


def test_beyond_its_steepest_an_exponential_goes_on_as_a_line():
    at = s(of.STEEP - 1e-6, of.STEEP + 1e-6, of.STEEP + 5).requires_grad_()
    (slope,) = torch.autograd.grad(of.CHI2.loss(at).sum(), at)
    torch.testing.assert_close(slope, s(1, 1, 1) * np.exp(of.STEEP), rtol=1e-5, atol=0)
    values = of.CHI2.value(at.detach())
    assert values[1] == pytest.approx(values[0].item(), rel=1e-5)


def test_alpha_is_kl_at_its_ends_and_hellinger_in_the_middle():
    at = s(0.5, 4)
    for alpha, other in ((0, of.KL), (1, of.KL), (0.5, of.HELLINGER), (2, of.CHI2)):
        torch.testing.assert_close(of.alpha_divergence(alpha).loss(at), other.loss(at))


def test_a_step_of_ddpm_has_the_means_and_the_variance_that_s_is_made_of():
    """By the posterior's own formula, from the clean latents that two predictions stand for."""
    rng = torch.Generator().manual_seed(0)
    latents, first, second = torch.randn(3, 1, 4, 8, 8, generator=rng, dtype=torch.float64)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    abar = torch.cumprod(1 - betas, 0)
    for t in (1, 50, 400, 999):
        means = []
        for noise in (first, second):
            clean = (latents - (1 - abar[t]).sqrt() * noise) / abar[t].sqrt()
            share = abar[t - 1].sqrt() * betas[t] / (1 - abar[t])
            rest = (1 - betas[t]).sqrt() * (1 - abar[t - 1]) / (1 - abar[t])
            means.append(share * clean + rest * latents)
        found = (means[0] - means[1]).square().sum() / betas[t]
        weight = transition_weights(SCHEDULE, torch.tensor([t]))
        expected = weight * (first - second).square().sum()
        torch.testing.assert_close(found[None], expected, rtol=1e-3 if t == 1 else 1e-4, atol=0)
    table = transition_weights(SCHEDULE, torch.tensor([1, 50, 200, 400, 800, 999]))
    golden = s(0.502, 0.0228, 0.00833, 0.00656, 0.00916, 0.0122)
    torch.testing.assert_close(table, golden, rtol=5e-3, atol=0)


def test_s_is_the_same_of_noise_of_velocity_and_of_clean_latents():
    rng = torch.Generator().manual_seed(0)
    latents, first, second = torch.randn(3, 2, 4, 8, 8, generator=rng, dtype=torch.float64)
    t = torch.tensor([100, 700])
    signal, spread = SCHEDULE.weights(t, latents)
    velocity = Schedule(SCHEDULE.config | {"prediction_type": "v_prediction"})

    def distance(a, b):
        return (a - b).square().flatten(1).sum(1)

    own = distance(first, second)
    outputs = [(noise - spread * latents) / signal for noise in (first, second)]
    seen = [velocity.to_epsilon(output, latents, t) for output in outputs]
    torch.testing.assert_close(distance(*seen), own, rtol=1e-5, atol=0)
    abar = signal.flatten() ** 2
    torch.testing.assert_close(abar * distance(*outputs), own, rtol=1e-5, atol=0)
    clean = [(latents - spread * noise) / signal for noise in (first, second)]
    torch.testing.assert_close(abar / (1 - abar) * distance(*clean), own, rtol=1e-4, atol=0)


def test_an_adaptive_scale_follows_the_median_of_samples_at_like_timesteps():
    scale = Adaptive(3.0, SCHEDULE, entries=10)
    t = torch.tensor([10, 20, 30, 999])
    torch.testing.assert_close(scale.unit(s(1, 2, 30, 8), t), s(2, 2, 2, 8) / 3)
    scale.observe(s(1, 2, 30, 8), t)
    scale.observe(s(12, 12, 12, 0), t)
    assert scale.medians.tolist() == pytest.approx([2 * 0.9 + 1.2, *[0] * (BUCKETS - 2), 8])
    again = Adaptive(3.0, SCHEDULE, entries=10)
    again.restore(scale.state())
    torch.testing.assert_close(again.unit(s(5, 5, 5, 5), t), s(3, 3, 3, 8) / 3)


def test_a_fixed_scale_is_the_mean_of_the_entries_and_a_transition_a_share_of_its_own():
    t = torch.tensor([3, 400])
    torch.testing.assert_close(Fixed(2.0, SCHEDULE, 10).unit(s(5, 7), t), s(40, 40))
    weights = transition_weights(SCHEDULE, torch.tensor([20, 400]))
    torch.testing.assert_close(Transition(0.5, SCHEDULE, 10).unit(s(5, 7), t), 2 / weights)


def test_a_share_of_a_transition_is_at_most_all_of_it():
    with pytest.raises(BadParam, match="at most 1"):
        OBJECTIVES["fdiv:js"](scale="transition", size=2.0)


def ran(name, steps=2, **params):
    """An objective after some steps on a student that is far off by 1 to 4 in each entry."""
    from laws.linear import Linear, setting

    known = setting(Linear())
    aim = known.moments(OBJECTIVES[name].asks[0])
    off = torch.linspace(1, 4, len(aim.aim))[:, None]
    known = replace(known, moments=lambda want: aim, student=lambda m: m.aim + off[: len(m.aim)])
    objective = OBJECTIVES[name](**params)
    objective.start(known)
    for _ in range(steps):
        list(objective.terms(torch.Generator().manual_seed(0)))
        objective.after_step()
    return objective


@pytest.mark.parametrize(
    "name, params, warned",
    [
        ("fdiv:hellinger", {"scale": "fixed", "size": 30.0}, True),
        ("fdiv:hellinger", {}, False),
        ("fdiv:jeffreys", {}, True),
        ("fdiv:kl", {}, False),
        ("fdiv:alpha", {"alpha": 1.0}, True),
        ("fdiv:chi2", {}, False),
    ],
)
def test_a_divergence_that_weighs_all_alike_is_told_to_be_kl(name, params, warned):
    objective = ran(name, **params)
    found = " ".join(objective.warnings())
    assert ("numerically KL" in found) == warned
    again = ran(name, steps=0, **params)
    again.restore(objective.state())
    assert list(again.warnings()) == list(objective.warnings())


def test_the_gradient_is_the_weight_of_each_sample_times_that_of_the_mean_square():
    from laws.linear import Linear, setting

    model = Linear()
    known = setting(model)
    objective = OBJECTIVES["fdiv:hellinger"](scale="fixed", size=0.5)
    objective.start(known)
    ((_, term),) = objective.terms(torch.Generator().manual_seed(0))
    (found,) = torch.autograd.grad(term, model.weight)
    shown = known.moments(objective.asks[0]).pick(known.batch, torch.Generator().manual_seed(0))
    squares = (model(shown) - shown.aim).square().mean(1)
    weights = torch.exp(-squares.detach() / 0.25 / 8)
    assert weights.min() < 0.8
    (expected,) = torch.autograd.grad((weights * squares).mean(), model.weight)
    torch.testing.assert_close(found, expected)
