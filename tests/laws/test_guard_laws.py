"""What any guard must satisfy. A new line in GUARDS is tested here without a new test."""

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import Parameter

from ckptedit.erasure.train import train
from ckptedit.guards import GUARDS
from ckptedit.guards.guard import Setting, confine

OUT, DIM = 6, 24


@pytest.fixture(params=list(GUARDS))
def guard(request):
    return GUARDS[request.param]()


def setting(weight: Parameter) -> Setting:
    rng = torch.Generator().manual_seed(3)
    start = weight.detach().clone()
    retain = torch.randn(5, 2, DIM, generator=rng)

    def rehearse(_: Generator) -> Tensor:
        return ((weight - start) @ retain.flatten(0, 1).T).square().mean()

    return Setting(
        kind="style",
        target=torch.randn(4, 2, DIM, generator=rng),
        retain=retain,
        keep=torch.ones(5, 2, dtype=torch.bool),
        general=lambda: torch.eye(DIM, dtype=torch.float64),
        rehearse=rehearse,
    )


def run(guard, seed: int = 0) -> tuple[Tensor, Tensor | None, Setting]:
    torch.manual_seed(1)
    weight = Parameter(torch.randn(OUT, DIM))
    known = setting(weight)
    aim = torch.randn(OUT, 8, generator=torch.Generator().manual_seed(5))

    def loss_at(rng: Generator) -> Tensor:
        noise = 0.1 * torch.randn(8, DIM, generator=rng)
        return (weight @ (known.target.flatten(0, 1) + noise).T - aim).square().mean()

    made = train({"w": weight}, loss_at, [guard], known, steps=20, lr=1e-2, seed=seed)
    change = made.edits["w"].stretch(0, OUT * DIM).reshape(OUT, DIM)
    return torch.as_tensor(change).float(), made.directions, known


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
    torch.manual_seed(1)
    weight = Parameter(torch.randn(OUT, DIM))
    guard.start({"w": weight}, setting(weight))
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
