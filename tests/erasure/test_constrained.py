"""Unlearning under constraints: the optima that are known in closed form, and what is reported."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.diffusion.moments import OWN, TARGETS, Moments
from ckptedit.erasure.objectives.esd import ESD
from ckptedit.erasure.objectives.fu import FU
from ckptedit.erasure.objectives.lu import LU, likelihood
from ckptedit.erasure.objectives.multipliers import Multipliers, by_target, project
from ckptedit.erasure.objectives.ru import RU, tilted
from ckptedit.erasure.train import train
from ckptedit.text import Condition
from erasure.toy import SCHEDULE, Toy, gradient, moments, setting

T = 500
MODES, WIDTH = torch.tensor([[-3.0, 0], [0, 2], [3, 0]]), 0.6  # of q; the last one is u


class Whole(Moments):
    """A batch of it is all of it."""

    def pick(self, size, rng):
        return self


def drawn(n: int, modes: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Points of a mixture, noised to T, and their noise: [n, 1, 1, 2] each."""
    rng = torch.Generator().manual_seed(seed)
    mode = modes[torch.randint(len(modes), (n,), generator=rng)]
    clean = (mode + WIDTH * torch.randn(n, 2, generator=rng)).view(n, 1, 1, 2)
    noise = torch.randn(n, 1, 1, 2, generator=rng)
    return SCHEDULE.add_noise(clean, noise, torch.full((n,), T)), noise


def seen(latents: Tensor, modes: Tensor) -> Tensor:
    """What a perfect denoiser of the mixture sees: - sqrt(1 - a) times the score."""
    signal, spread = SCHEDULE.weights(torch.full((1,), T), latents)
    x, variance = latents.view(-1, 1, 2), (signal * WIDTH).square() + spread.square()
    away = x - signal.view(1, 1, 1) * modes
    share = (-away.square().sum(2) / (2 * variance.view(1, 1))).softmax(1)
    return (spread.view(1, 1) * (share[:, :, None] * away).sum(1) / variance.view(1, 1)).view_as(
        latents
    )


def mixture(latents: Tensor, noise: Tensor) -> Moments:
    n = len(latents)
    row = Condition(torch.arange(n).view(n, 1, 1))
    aim, views = seen(latents, MODES), {OWN: seen(latents, MODES[2:])}
    which, named = torch.zeros(n, dtype=torch.long), torch.zeros(n, 1, dtype=torch.bool)
    return Whole(latents, torch.full((n,), T), row, aim, row, noise, which, named, views)


def trained(objective, known: Moments, own: Moments, table: Parameter, cell, *, steps, lr=0.1):
    """A student that knows one prediction for each cell of the plane, or for each point."""
    given = replace(
        setting(Toy(), steps=steps),
        weights={"table": table},
        moments=lambda want: own if want.states == "own" else known,
        student=lambda shown: table[cell(shown)].view_as(shown.aim),
        concepts=["u"],
    )
    return train(objective, [], given, lr=lr, seed=0).facts["multiplier"]["u"]


def point(shown: Moments) -> Tensor:
    return shown.text.tokens.view(-1)


def size(difference: Tensor) -> float:
    return float(difference.square().mean())


@pytest.mark.parametrize("bound", [2.0, 4.0])
def test_ru_reaches_the_closed_form_of_its_optimum_on_a_mixture(bound):
    known = mixture(*drawn(50, MODES, 0))
    table = Parameter(known.views[OWN].clone().view(50, 2))
    found = trained(RU(bound=bound, rate=0.01), known, known, table, point, steps=400, lr=0.5)
    price = 1 - bound**-0.5
    assert found["lambda"] == pytest.approx(price, abs=1e-3)
    best = tilted(known.aim, known.views[OWN], price)
    assert size(table.view_as(best) - known.aim) == pytest.approx(
        size(best - known.aim), rel=1e-3, abs=1e-3
    )
    assert found["slackness"] < 1e-3 and abs(found["violation"]) < 1e-3


def test_lu_reaches_the_closed_form_of_its_optimum_on_a_mixture():
    known = mixture(*drawn(50, MODES, 0))
    table = Parameter(known.views[OWN].clone().view(50, 2))
    found = trained(LU(share=0.05, sharpness=1.0), known, known, table, point, steps=400)
    price = -(torch.tensor(0.05).log() / 2 + 1).item()  # 0.498
    assert found["lambda"] == pytest.approx(price, abs=2e-3)
    away = price * (known.views[OWN] - known.aim)
    assert size(table.view_as(away) - known.aim) == pytest.approx(size(away), abs=1e-3)
    assert found["slackness"] < 1e-3 and abs(found["violation"]) < 2e-3


def test_fu_reaches_the_closed_form_of_its_optimum_on_a_mixture():
    """On a grid of cells, where the best prediction is a quotient of sums, as p ∝ q - λ u is."""
    known, own = mixture(*drawn(4000, MODES, 0)), mixture(*drawn(4000, MODES[2:], 1))

    def cell(shown: Moments) -> Tensor:
        return ((shown.latents[:, 0, 0, 0] + 3.5) / 0.5).long().clamp(0, 13)

    def sums(of: Moments) -> tuple[Tensor, Tensor]:
        counts = torch.zeros(14).index_add(0, cell(of), torch.ones(4000)) / 4000
        return torch.zeros(14, 2).index_add(0, cell(of), of.noise.view(-1, 2)) / 4000, counts[
            :, None
        ]

    (q, nq), (u, nu), price = sums(known), sums(own), 0.1
    assert (nq > 2 * price * nu).all()  # or there is no optimum
    best = (q - price * u) / (nq - price * nu)
    left = size(best[cell(own)].view_as(own.noise) - own.noise)
    bound = left / size(own.views[OWN] - own.noise)
    table = Parameter(torch.zeros(14, 2))
    how = {"bound": bound, "rate": 0.2, "initial": 0.05, "ascent": 1e9}
    found = trained(FU(**how), known, own, table, cell, steps=600)
    assert found["lambda"] == pytest.approx(price, abs=1e-3)
    assert size(table - best) < 1e-3 and found["slackness"] < 1e-3


def test_multipliers_of_a_mixture_are_those_of_an_independent_solver():
    """Three modes in one dimension, two of them unlearned. A search over all densities (SLSQP)
    reached 0.0140199, the closed form 0.0140198 at λ = 0.01956, 0.02313."""
    x = torch.linspace(-8, 8, 401, dtype=torch.float64)[::8]

    def density(*modes: tuple[float, float, float]) -> Tensor:
        parts = [w / s * (-(((x - m) / s) ** 2) / 2).exp() for w, m, s in modes]
        return sum(parts) / (2 * torch.pi) ** 0.5

    q = density((0.34, -3, 0.6), (0.33, 0, 0.6), (0.33, 3, 0.6)) + 1e-7
    us = torch.stack([density((1, 3, 0.6)), density((1, 0, 0.7))]) + 1e-7
    q, us = q / q.sum(), us / us.sum(1, keepdim=True)

    def kl(p: Tensor, other: Tensor) -> Tensor:
        return (p * (p.log() - other.log())).sum(-1)

    bounds = kl(q, us) + torch.tensor([0.8, 0.5])
    found = Multipliers(1, 2, initial=0.0, rate=0.01, cap=0.95)
    for _ in range(2000):
        # Λ times the λ-mean of log u is Σ λ log u
        total = found.values.sum()
        mean = found.values[0] @ us.log() / total.clamp(min=1e-12)
        p = tilted(q.log(), mean, total).softmax(0)
        found.ascend((bounds - kl(p, us))[None])
    assert found.values[0].tolist() == pytest.approx([0.01956, 0.02313], abs=5e-5)
    primal, left = kl(p, q), bounds - kl(p, us)
    assert primal.item() == pytest.approx(0.0140198, abs=1e-6)
    assert abs(found.values[0] @ left) < 1e-6


@pytest.mark.parametrize("eta", [0.5, 1.0, 3.0])
def test_esd_is_ru_with_its_multiplier_held_fixed(eta):
    model = Toy()
    esd = gradient(ESD(eta=eta), model, setting(model)).clone()
    held = RU(base="empty", rate=0.0, initial=eta / (1 + eta))
    torch.testing.assert_close(gradient(held, model, setting(model)), esd)
    held.after_step()
    assert held.multipliers.values.item() == eta / (1 + eta)


def test_regression_on_the_tilted_prediction_is_the_lagrangian_of_ru():
    known, price = moments(0), 0.4
    seen = torch.randn(known.aim.shape, requires_grad=True)
    own = known.views[OWN]
    lagrangian = (seen - known.aim).square().sum() - price * (seen - own).square().sum()
    regression = (seen - tilted(known.aim, own, price)).square().sum()
    one, other = (torch.autograd.grad(each, seen)[0] for each in (lagrangian, regression))
    torch.testing.assert_close(one, (1 - price) * other)


def test_regression_on_the_guided_prediction_is_the_lagrangian_of_lu():
    """min ‖ε - ε_q‖² + λ / ε · gap / κ · h, with h as clipped as it is at the start."""
    model, objective = Toy(), LU(share=0.5, sharpness=0.7, initial=0.3, most=100.0)
    known = setting(model)
    found = gradient(objective, model, known)
    shown = known.moments(TARGETS).pick(known.batch, torch.Generator().manual_seed(0))
    out, own = model(shown), shown.views[OWN]
    apart = (shown.aim - own).square().flatten(1).mean(1)
    price = 0.3 / 0.5 * apart / 0.7 * likelihood(out, shown.aim, own, 0.7)
    stay = (out - shown.aim).square().flatten(1).mean(1)
    (lagrangian,) = torch.autograd.grad((stay + price).mean(), model.weight)
    torch.testing.assert_close(found, lagrangian)


def test_a_likelihood_is_1_at_the_concept_and_beyond_and_falls_to_the_anchor():
    base, concept = torch.zeros(1, 2), torch.full((1, 2), 2.0)
    at = [likelihood(torch.full((1, 2), x), base, concept, 0.5).item() for x in (3.0, 2, 1, 0, -2)]
    assert at == pytest.approx([1, 1, *torch.tensor([-0.5, -1, -2]).exp().tolist()])


def test_ascent_is_no_longer_than_its_share_of_descent():
    objective = FU(ascent=0.5)
    products = torch.tensor([[4.0, 0], [0, 25]], dtype=torch.float64)
    assert objective.rule(["learn", "unlearn"], products) == (1.0, pytest.approx(0.2))
    assert objective.rule(["learn", "unlearn"], products.flip(0, 1)) == (1.0, 1.0)
    assert objective.rule(["learn", "unlearn"], torch.zeros(2, 2)) == (1.0, 1.0)


def test_fu_learns_the_anchors_pictures_and_unlearns_the_targets_by_the_price():
    model = Toy()
    known = setting(model)
    own = moments(9)
    known = replace(known, moments=lambda want: own if want.states == "own" else moments(2))
    found = gradient(FU(initial=0.25), model, known)
    rng = torch.Generator().manual_seed(0)
    total = torch.zeros(16, 6)
    for of, sign in ((moments(2), 1), (own, -0.25)):
        shown = of.pick(known.batch, rng)
        read = shown.text.tokens.mean(1)
        left = read @ model.weight.detach().T - shown.noise.flatten(1)
        total += sign * 2 / left.numel() * left.T @ read
    torch.testing.assert_close(found, total)


def test_rows_are_projected_onto_what_is_above_0_and_sums_to_no_more_than_the_cap():
    values = torch.tensor([[0.5, -0.2], [0.8, 0.6], [2.0, -1.0], [0.3, 0.3]], dtype=torch.float64)
    expected = [[0.5, 0], [0.6, 0.4], [1, 0], [0.3, 0.3]]
    assert project(values, 1.0).tolist() == [pytest.approx(row) for row in expected]
    assert project(values, torch.inf)[2].tolist() == [2, 0]


def test_means_are_of_each_target_and_none_where_there_are_no_moments():
    found = by_target(torch.tensor([1.0, 5, 3]), torch.tensor([2, 0, 2]), 3)
    assert found[0] == 5 and found[1].isnan() and found[2] == 2


def test_a_multiplier_moves_by_the_smoothed_violation_of_its_own_target():
    found = Multipliers(2, 1, initial=0.5, rate=0.1)
    nan = float("nan")
    found.ascend(torch.tensor([[0.4], [nan]]))
    found.ascend(torch.tensor([[-0.6], [7.0]]))
    assert found.violations.flatten().tolist() == pytest.approx([0.3, 1.0])
    assert found.values.flatten().tolist() == pytest.approx([0.5 + 0.04 + 0.03, 0.6])
    found.ascend(torch.tensor([[nan], [nan]]))  # goes on by what was seen before
    assert found.values.flatten().tolist() == pytest.approx([0.6, 0.7])


def test_multipliers_stay_above_0_and_below_their_cap():
    found = Multipliers(1, 2, initial=0.4, rate=1.0, cap=0.9)
    found.ascend(torch.tensor([[-1.0, 0.8]]))
    assert found.values.tolist() == [[0, pytest.approx(0.9)]]


@pytest.mark.parametrize("kind", [RU, FU, LU])
def test_each_target_has_a_multiplier_and_what_it_lacks_is_said_by_name(kind):
    model, objective = Toy(), kind()
    known = replace(setting(model, targets=3), concepts=["a", "b", "c"])
    objective.start(known)
    objective.multipliers.values = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64)
    shown = known.moments(TARGETS)
    assert objective.prices(shown).flatten()[:4].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.1])
    objective.multipliers.violations = torch.tensor([[0.04], [-1.0], [0.5]], dtype=torch.float64)
    facts = objective.facts()["multiplier"]
    assert facts["c"] == {"lambda": 0.3, "violation": 0.5, "slackness": 0.15}
    (note,) = objective.warnings()
    assert note.startswith("c: its constraint is violated by 50%") and objective.bound_of in note


@pytest.mark.parametrize("kind", [RU, FU, LU])
def test_a_target_without_pictures_is_reported_too(kind):
    objective = kind()
    objective.start(replace(setting(Toy(), targets=2), concepts=["a", "b", "c"]))
    dict(objective.terms(torch.Generator().manual_seed(0)))
    objective.after_step()
    assert list(objective.facts()["multiplier"]) == ["a", "b", "c"]
    assert any(note.startswith("c: no step looked at") for note in objective.warnings())


@pytest.mark.parametrize("kind", [RU, FU, LU])
def test_an_interruption_keeps_multipliers_and_what_they_have_seen(kind):
    model, first, second = Toy(), kind(), kind()
    for objective in (first, second):
        objective.start(setting(model))
    for seed in range(3):
        dict(first.terms(torch.Generator().manual_seed(seed)))
        first.after_step()
    assert not torch.equal(first.multipliers.values, second.multipliers.values)
    second.restore(first.state())
    assert first.facts() == second.facts()


def test_a_constraint_that_no_batch_has_seen_is_not_said_to_hold():
    objective = RU()
    objective.start(setting(Toy()))
    assert objective.warnings() == [
        "target 1: no step looked at its constraint; train longer, on more pictures"
    ]


def test_the_command_reports_multipliers_and_warns_of_what_is_violated(tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    small = ["--steps", "2", "--batch", "2", "--pictures", "2", "--neighbors", "1", "--json"]
    command = ["erase", str(tiny), "--concept", "van gogh", "--method", "ru", *small]
    result = CliRunner().invoke(app, [*command, "--device", "cpu", "-o", str(out)])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["facts"]["multiplier"]["van gogh"].keys() == {"lambda", "violation", "slackness"}
    (warning,) = (each for each in report["warnings"] if "constraint" in each)
    assert "multiplier of 'van gogh': lambda 0.5" in result.stderr
    assert f"warning: {warning}" in result.stderr
