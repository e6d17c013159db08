"""Critics: what they find of a divergence, what the student does about it, what is kept of them."""

import pytest
import torch

from ckptedit.diffusion.moments import OWN
from ckptedit.erasure import divergences
from ckptedit.erasure.critic import Critic
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.variational import FORMS
from erasure.toy import Toy, setting

CLOSED = {
    "kl": divergences.KL.value,
    "reverse-kl": divergences.KL.value,
    "hellinger": divergences.HELLINGER.value,
    "js": lambda s: 2 * divergences.JS.value(s),
    "chi2": divergences.CHI2.value,
    "tv": divergences.TV.value,
}


@pytest.mark.parametrize("name", FORMS)
def test_the_best_score_reaches_the_closed_form_and_no_other_does_better(name):
    """Of N(d, 1) to N(0, 1), whose log p/q is d x - d²/2, over a grid of x."""
    d, form = 1.2, FORMS[name]
    x = torch.linspace(-12, 14, 20001, dtype=torch.float64)

    def mean(values, at):
        density = torch.exp(-((x - at) ** 2) / 2)
        return (values * density).sum() / density.sum()

    def bound(score):
        told = form.output(score)
        return mean(told, d) - mean(form.conjugate(told), 0)

    ratio = d * x - d * d / 2
    best = {
        "kl": 1 + ratio,
        "reverse-kl": ratio,
        "hellinger": ratio / 2,
        "js": ratio,
        "chi2": 2 * (ratio.exp() - 1),
        "tv": 30 * ratio,
    }[name]
    closed = CLOSED[name](torch.tensor([d * d], dtype=torch.float64)).item()
    assert bound(best).item() == pytest.approx(closed, rel=2e-3)
    for worse in (0.7 * best, best + 0.3, best - 0.3):
        assert bound(worse) < closed + 1e-9


@pytest.mark.parametrize("name", ["hellinger", "js"])
def test_a_trained_critic_finds_the_divergence_of_two_gaussians(name):
    """s = 16 · 0.3² = 1.44 in 16 dimensions, from samples alone."""
    form, rng = FORMS[name], torch.Generator().manual_seed(0)
    critic = Critic(1, lr=3e-3, device=torch.device("cpu"))

    def pair(n):
        real, fake = torch.randn(2, n, 1, 4, 4, generator=rng)
        return real + 0.3, fake

    def bound(real, fake):
        return form.bound(critic(real).mean(1), critic(fake).mean(1))

    for _ in range(150):
        samples = pair(256)
        critic.learn(lambda samples=samples: -bound(*samples))
    closed = CLOSED[name](torch.tensor([1.44], dtype=torch.float64)).item()
    assert bound(*pair(20000)).item() == pytest.approx(closed, rel=0.1)


ADVERSARIAL = ["fdiv-var", "doco"]


def begun(name, **params):
    model = Toy()
    objective = OBJECTIVES[name](**params)
    objective.start(setting(model))
    return objective, model


def stepped(objective):
    terms = dict(objective.terms(torch.Generator().manual_seed(0)))
    objective.after_step()
    return terms


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_critic_learns_from_what_the_bank_has_and_then_after_every_step(name):
    objective, _ = begun(name, warmup=40, critic_lr=1e-2)
    shown = objective.targets
    stepped(objective)

    def scores(prediction):
        return objective.critic(objective.judged(shown, prediction)).mean()

    assert scores(shown.aim) > scores(shown.views[OWN]) + 0.5
    before = objective.critic.state()["critic.0"].clone()
    stepped(objective)
    assert not torch.equal(before, objective.critic.state()["critic.0"])


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_student_goes_to_what_the_critic_takes_for_real(name):
    objective, _ = begun(name, warmup=40, critic_lr=1e-2)
    shown = objective.targets
    for mixed, other in ((0.9, 0.1), (0.6, 0.4)):
        near, far = (x * shown.aim + (1 - x) * shown.views[OWN] for x in (mixed, other))
        stepped(objective)
        seen = [objective.critic(objective.judged(shown, each)) for each in (near, far)]
        assert objective.fooled(seen[0]) < objective.fooled(seen[1])


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_critic_goes_on_as_it_was_and_has_no_second_warm_up(name):
    objective, _ = begun(name, warmup=3)
    stepped(objective)
    again, _ = begun(name, warmup=3)
    again.restore({key: value.clone() for key, value in objective.state().items()})
    for _ in range(2):
        assert stepped(again) == stepped(objective)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_students_terms_leave_the_critic_as_it_is(name):
    objective, _ = begun(name, warmup=0)
    before = {key: value.clone() for key, value in objective.critic.state().items()}
    for term in dict(objective.terms(torch.Generator().manual_seed(0))).values():
        term.backward()
    assert all(weight.grad is None for weight in objective.critic.weights)
    assert all(torch.equal(value, before[key]) for key, value in objective.critic.state().items())


def test_doco_judges_the_clean_latents_that_a_prediction_stands_for():
    objective, _ = begun("doco")
    shown = objective.targets
    signal, spread = objective.setting.schedule.weights(shown.t, shown.latents)
    clean = objective.judged(shown, shown.aim)
    torch.testing.assert_close(signal * clean + spread * shown.aim, shown.latents)
