"""What any guard must satisfy. A new line in GUARDS is tested here without a new test."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ckptedit.diffusion.moments import Moments, Want
from ckptedit.erasure.objectives import OBJECTIVES
from ckptedit.erasure.objectives.conabl import ConAbl
from ckptedit.erasure.objectives.objective import Objective
from ckptedit.erasure.train import train
from ckptedit.guards import GUARDS
from ckptedit.guards.gradproj_soft import RIDGES
from ckptedit.guards.guard import Guard, complement, confine
from laws.linear import DIM, OUT, Linear, run, setting


@pytest.fixture(params=list(GUARDS))
def guard(request):
    return GUARDS[request.param]()


def test_the_weights_move_and_stay_finite(guard):
    delta, _, _ = run(guard)
    assert delta.isfinite().all() and delta.norm() > 1e-3


def test_same_seed_same_edit_other_seed_another(guard):
    first, again, other = (run(type(guard)(), seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_directions_are_orthonormal_and_the_edit_stays_in_them(guard):
    delta, directions, _ = run(guard)
    if directions is None:
        return
    torch.testing.assert_close(
        directions.T @ directions, torch.eye(directions.shape[1]), atol=1e-5, rtol=0
    )
    assert (delta - delta @ directions @ directions.T).norm() <= 1e-5 * delta.norm()


def test_nothing_is_penalised_before_the_first_step(guard):
    model = Linear()
    guard.start(setting(model))
    penalty = guard.penalty(torch.Generator().manual_seed(0))
    assert penalty is None or penalty.item() == 0


def test_hard_projection_leaves_protected_keys_where_they_were():
    delta, _, known = run(GUARDS["gradproj:hard"](energy=1.0))
    moved = delta @ known.retain.flatten(0, 1).T
    assert moved.norm() <= 1e-5 * delta.norm() * known.retain.norm()


def test_soft_projection_has_the_rank_it_was_given():
    delta, _, _ = run(GUARDS["gradproj:soft"](rank=2))
    assert torch.linalg.matrix_rank(delta, rtol=1e-4) == 2


def test_distillation_pays_for_what_retained_prompts_lose():
    guarded, _, known = run(GUARDS["distill"](weight=100.0))
    free, _, _ = run(GUARDS["distill"](weight=1e-6))
    tokens = known.retain.flatten(0, 1).T
    assert (guarded @ tokens).norm() < 0.5 * (free @ tokens).norm()


def test_confining_twice_leaves_what_both_allow():
    eye = torch.eye(5)
    both = confine([eye[:, :3], eye[:, 1:4]])
    assert both is not None and both.shape == (5, 2)
    torch.testing.assert_close((both @ both.T).diagonal(), torch.tensor([0.0, 1, 1, 0, 0]))
    assert confine([]) is None


def test_the_first_step_is_as_long_in_every_direction_that_a_guard_allows():
    """Adam moves every entry of A alike: without the gain of the rate, few directions go slowly."""
    for guard in (Guard(), GUARDS["gradproj:soft"](rank=1), GUARDS["gradproj:hard"]()):
        model = Linear()
        known = setting(model)
        made = train(ConAbl(), [guard], replace(known, steps=1), lr=1e-2, seed=0)
        change = made.edits["w"].stretch(0, OUT * DIM)
        assert (change**2).mean() ** 0.5 == pytest.approx(1e-2, rel=1e-3)


class Pushes(Guard):
    """Moves the weight itself after every step."""

    def start(self, setting):
        (self.weight,) = setting.weights.values()

    def after_step(self):
        with torch.no_grad():
            self.weight += 1


def test_what_a_guard_changes_after_a_step_is_in_the_edit():
    plain, _, _ = run(Guard(), lr=1e-9)
    pushed, _, _ = run(Pushes(), lr=1e-9)
    torch.testing.assert_close(pushed - plain, torch.full((OUT, DIM), 20.0), atol=1e-4, rtol=0)


def test_the_moment_of_soft_projection_holds_what_is_retained():
    """Where a retained prompt and the target share a direction, it is not written in."""
    model = Linear()
    known = setting(model)
    shared, own = torch.eye(DIM)[:2]
    target = torch.stack([2 * shared, own])[:, None]  # [2, 1, DIM]
    free, guarded = (
        GUARDS["gradproj:soft"](rank=1).start(replace(known, target=target, retain=retain))
        for retain in (known.retain[:0], 100 * shared[None, None])
    )
    assert abs(free[:, 0] @ shared) > 0.99
    assert abs(guarded[:, 0] @ own) > 0.99


@pytest.mark.parametrize("kind", [*GUARDS, *OBJECTIVES])
def test_a_stage_asks_for_what_it_says_that_it_asks_for(kind):
    """Its progress is planned by that: a bank that comes unannounced has no number."""
    asked: list[str | Want] = []
    model = Linear()
    given = setting(model)

    def general() -> Tensor:
        asked.append("general")
        return given.general()

    def moments(want: Want) -> Moments:
        asked.append(want)
        return given.moments(want)

    stage = (GUARDS if kind in GUARDS else OBJECTIVES)[kind]()
    stage.start(replace(given, general=general, moments=moments))
    assert tuple(dict.fromkeys(asked)) == stage.asks


class Stops(Guard):
    """Lets no gradient through."""

    def start(self, setting):
        (self.weight,) = setting.weights.values()

    def after_backward(self):
        self.weight.grad.zero_()


def test_what_a_guard_changes_of_the_gradient_is_what_the_step_follows():
    assert run(Stops())[0].norm() == 0


def test_hard_projection_protects_the_positions_that_count_and_no_others():
    known = setting(Linear())
    keep = torch.zeros(5, 1, dtype=torch.bool)
    keep[2] = True
    free = complement([GUARDS["gradproj:hard"]().forbids(replace(known, keep=keep))])
    assert free.shape == (DIM, DIM - 1)
    assert (known.retain[2] @ free).norm() < 1e-5 < (known.retain[0] @ free).norm()


@pytest.mark.parametrize("kind", RIDGES)
def test_the_ridge_of_soft_projection_is_by_the_kind_of_the_target(kind):
    known = replace(setting(Linear()), kind=kind)
    found = GUARDS["gradproj:soft"]().start(known)
    same = GUARDS["gradproj:soft"](ridge=RIDGES[kind]).start(known)
    other = GUARDS["gradproj:soft"](ridge=10 * RIDGES[kind]).start(known)
    assert torch.equal(found, same) and not torch.equal(found, other)


class Slope(Objective):
    """Its gradient is 1 everywhere, so Adam moves every entry by the rate."""

    def start(self, setting):
        self.weight = setting.student.weight

    def terms(self, rng):
        yield "slope", self.weight.sum()


def test_the_rate_falls_as_a_cosine_to_a_twentieth():
    model = Linear()
    made = train(Slope(), [], replace(setting(model), steps=4), lr=0.1, seed=0)
    rates = [0.05 + 0.95 * share for share in (1, 0.853553, 0.5, 0.146447)]
    assert -made.edits["w"].stretch(0, OUT * DIM) == pytest.approx(0.1 * sum(rates), rel=1e-4)


def test_soft_projection_chooses_among_what_hard_projection_leaves():
    model = Linear()
    known = setting(model)
    both = [GUARDS[name]() for name in ("gradproj:hard", "gradproj:soft")]
    made = train(ConAbl(), both, known, lr=1e-2, seed=0)
    delta = torch.as_tensor(made.edits["w"].stretch(0, OUT * DIM)).reshape(OUT, DIM).float()
    assert torch.linalg.matrix_rank(delta, rtol=1e-4) == 4
    basis = both[0].forbids(known)
    assert (delta @ basis.T).norm() <= 1e-5 * delta.norm()


def test_a_step_is_clipped_before_adam_sees_it():
    model = Linear()
    seen = []

    class Looks(Guard):
        def after_step(self):
            seen.append(model.weight.detach().clone())

    def path(clip):
        seen.clear()
        model.weight.data = Linear().weight.data
        known = replace(setting(model), weights={"w": model.weight}, steps=2)
        train(Grows(), [Looks()], known, lr=1e-2, seed=0, clip=clip)
        return [(b - a).abs().mean().item() for a, b in pairwise(seen)]

    # of gradients 1 and 10, Adam's second step has a mean of 5.8 over a root of 7.1, clipped of 1
    assert path(None)[0] != pytest.approx(path(1e-3)[0], rel=0.05)


class Grows(Objective):
    """Its gradient is 1 at the first step, and 10 at the second."""

    def start(self, setting):
        self.weight, self.slope = setting.student.weight, 1.0

    def terms(self, rng):
        yield "slope", self.slope * self.weight.sum()
        self.slope = 10.0
