"""Projections keep their promises: laws over random spaces, numbers by hand, dense oracles."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ckptedit.errors import BadParam, Incompatible
from ckptedit.subspaces import (
    angles_between,
    coverage,
    protected_basis,
    second_moment,
    soft_directions,
)

SIZES = [(1, 4), (3, 8), (7, 8), (40, 64)]


def vectors(m: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(m, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("m", "d"), SIZES)
def test_the_basis_is_orthonormal_and_spans_the_embeddings(m: int, d: int) -> None:
    embeddings = vectors(m, d)
    basis = protected_basis(embeddings)
    assert basis.shape == (m, d)
    assert_close(basis @ basis.mT, torch.eye(m))
    assert_close(embeddings @ basis.mT @ basis, embeddings, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("m", "d"), SIZES)
def test_what_lies_outside_the_basis_is_what_the_dense_projector_leaves(m: int, d: int) -> None:
    embeddings, x = vectors(m, d), vectors(5, d, seed=1)
    basis = protected_basis(embeddings)
    dense = torch.eye(d) - embeddings.mT @ torch.linalg.pinv(embeddings.mT)
    once = x - x @ basis.mT @ basis
    assert_close(once, x @ dense, atol=1e-4, rtol=1e-4)
    assert (once @ embeddings.mT).abs().max() < 1e-4


def test_repeated_and_dependent_embeddings_do_not_raise_the_rank() -> None:
    two = vectors(2, 16)
    many = torch.cat([two, two, two.sum(dim=0, keepdim=True), 3 * two[:1]])
    assert protected_basis(many).shape == (2, 16)


def test_energy_and_rank_cut_the_weakest_directions() -> None:
    embeddings = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.0]))  # energies 9, 4, 1 of 14
    assert len(protected_basis(embeddings, energy=9 / 14)) == 1
    assert len(protected_basis(embeddings, energy=0.65)) == 2
    assert len(protected_basis(embeddings, energy=13 / 14)) == 2
    assert len(protected_basis(embeddings, energy=1.0)) == 3
    assert len(protected_basis(embeddings, rank=2)) == 2
    strongest = protected_basis(embeddings, rank=1)[0]
    assert_close(strongest.abs(), torch.tensor([1.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("embeddings", "options", "said"),
    [
        (torch.eye(4), {}, "span all 4 dimensions"),
        (torch.zeros(3, 4), {}, "all zero"),
        (torch.zeros(0, 4), {}, "need embeddings"),
        (torch.ones(3, 4), {"rank": 0}, "rank must be 1 or more"),
        (torch.ones(3, 4), {"energy": 0.0}, "energy must be in"),
        (torch.ones(3, 4), {"energy": 1.01}, "energy must be in"),
        (torch.ones(3, 4), {"energy": math.nan}, "energy must be in"),
    ],
)
def test_a_basis_of_nothing_or_of_everything_is_refused(
    embeddings: Tensor, options: dict[str, float], said: str
) -> None:
    with pytest.raises(BadParam, match=said):
        protected_basis(embeddings, **options)  # type: ignore[arg-type]


def test_coverage_is_the_share_of_energy_inside() -> None:
    basis = torch.eye(3)[:1]
    tokens = torch.tensor([[[3.0, 4.0, 0.0]], [[0.0, 0.0, 5.0]]])  # 9 of 50
    assert coverage(tokens, basis) == pytest.approx(9 / 50)
    with pytest.raises(BadParam, match="all zero"):
        coverage(torch.zeros(2, 3), basis)


def test_coverage_and_what_is_left_add_up() -> None:
    tokens, basis = vectors(20, 16), protected_basis(vectors(5, 16, seed=2))
    outside = tokens - tokens @ basis.mT @ basis
    left = outside.square().sum() / tokens.square().sum()
    assert coverage(tokens, basis) + float(left) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("degrees", [0.0, 1e-5, 1.0, 30.0, 45.0, 60.0, 89.99999, 90.0])
def test_the_angle_between_two_lines_is_theirs_even_when_tiny(degrees: float) -> None:
    angle = math.radians(degrees)
    a = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[math.cos(angle), math.sin(angle), 0.0]], dtype=torch.float64)
    assert angles_between(a, b) == pytest.approx([degrees], abs=1e-9)


def test_principal_angles_are_sorted_symmetric_and_those_of_the_cosines() -> None:
    a, b = protected_basis(vectors(6, 24)), protected_basis(vectors(9, 24, seed=1))
    angles = angles_between(a, b)
    assert len(angles) == 6 and angles == sorted(angles)
    assert angles == pytest.approx(angles_between(b, a), abs=1e-5)
    cosines = torch.linalg.svdvals(a.double() @ b.double().mT)
    assert angles == pytest.approx(torch.rad2deg(cosines.acos()).tolist(), abs=1e-3)


def test_shared_directions_have_no_angle() -> None:
    basis = protected_basis(vectors(4, 16))
    assert max(angles_between(basis, basis[:2])) < 1e-3


def test_the_second_moment_is_the_mean_of_outer_products() -> None:
    tokens = torch.tensor([[[1.0, 2.0]], [[3.0, 0.0]]])
    expected = torch.tensor([[5.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    assert_close(second_moment(tokens), expected)


def test_a_direction_that_only_the_target_uses_is_found_first() -> None:
    everything = torch.diag(torch.tensor([10.0, 5.0, 1.0, 0.0], dtype=torch.float64))
    target = torch.diag(torch.tensor([10.0, 0.0, 0.0, 0.5], dtype=torch.float64))
    found = soft_directions(target, everything, rank=2, ridge=0.01)
    assert_close(found.basis[:, 0].abs(), torch.tensor([0.0, 0.0, 0.0, 1.0]))
    ridge = 0.01 * 16 / 4
    assert_close(found.ratios, torch.tensor([0.5 / ridge, 10 / (10 + ridge)], dtype=torch.float64))


def test_soft_directions_solve_the_generalised_eigenproblem() -> None:
    dim, rank, ridge = 24, 5, 1e-2
    target, everything = second_moment(vectors(9, dim)), second_moment(vectors(99, dim, seed=1))
    found = soft_directions(target, everything, rank=rank, ridge=ridge)
    assert_close(found.basis.mT @ found.basis, torch.eye(rank), atol=1e-5, rtol=1e-5)
    assert (found.ratios.diff() <= 0).all()
    rest = everything + ridge * everything.trace() / dim * torch.eye(dim, dtype=torch.float64)
    dense = torch.linalg.eig(torch.linalg.solve(rest, target))
    expected = dense.eigenvalues.real.sort(descending=True).values[:rank]
    assert_close(found.ratios, expected)
    first = found.basis[:, 0].double()
    assert float(first @ target @ first / (first @ rest @ first)) == pytest.approx(
        float(found.ratios[0]), rel=1e-5
    )
    top = dense.eigenvectors.real[:, dense.eigenvalues.real.argsort(descending=True)[:rank]]
    outside = top - (q := found.basis.double()) @ (q.mT @ top)
    assert outside.abs().max() < 1e-5


@pytest.mark.parametrize("options", [{"rank": 0}, {"rank": 4}, {"ridge": 0.0}, {"ridge": -1.0}])
def test_soft_directions_outside_their_range_are_refused(options: dict[str, float]) -> None:
    moment = torch.eye(4, dtype=torch.float64)
    with pytest.raises(BadParam):
        soft_directions(moment, moment, **options)  # type: ignore[arg-type]


def test_a_basis_of_another_width_is_refused() -> None:
    with pytest.raises(Incompatible, match="same width"):
        coverage(torch.ones(2, 5), torch.eye(4)[:1])
    with pytest.raises(Incompatible, match="same width"):
        angles_between(torch.eye(5)[:1], torch.eye(4)[:1])
    with pytest.raises(Incompatible, match=r"\[d, d\]"):
        soft_directions(torch.eye(3), torch.eye(4))
