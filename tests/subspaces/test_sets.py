"""Unions, intersections and differences: subspaces made by hand, and scipy's angles as oracle."""

import math

import pytest
import torch
from scipy.linalg import null_space, subspace_angles
from torch import Tensor
from torch.testing import assert_close

from ckptedit.errors import BadParam
from ckptedit.subspaces import difference, intersection, protected_basis, union

EYE = torch.eye(6)


def tilted(degrees: float) -> Tensor:
    """The first axis, turned towards the fourth."""
    angle = math.radians(degrees)
    return (math.cos(angle) * EYE[0] + math.sin(angle) * EYE[3])[None]


def spanned(rank: int, dim: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return protected_basis(torch.randn(rank, dim, generator=rng))


def same_space(a: Tensor, b: Tensor) -> None:
    """By scipy, which knows nothing of how they were made."""
    assert a.shape == b.shape
    assert subspace_angles(a.double().mT.numpy(), b.double().mT.numpy()).max() < 1e-5
    assert_close(a @ a.mT, torch.eye(len(a)), atol=1e-5, rtol=0)


def test_axes_are_joined_shared_and_taken_away() -> None:
    a, b = EYE[:3], EYE[1:5]
    same_space(union(a, b), EYE[:5])
    same_space(intersection(a, b), EYE[1:3])
    same_space(difference(a, b), EYE[:1])
    same_space(difference(b, a), EYE[3:5])


@pytest.mark.parametrize("degrees", [0.0, 1e-4, 0.9, 1.1, 30.0, 90.0])
def test_directions_are_one_up_to_the_tolerance_and_two_beyond_it(degrees: float) -> None:
    a, b = EYE[:2], tilted(degrees)
    if degrees <= 1:
        assert len(union(a, b)) == 2
        same_space(intersection(a, b), tilted(degrees / 2))
        same_space(difference(a, b), EYE[1:2])
    else:
        same_space(union(a, b), EYE[[0, 1, 3]])
        assert len(difference(a, b)) == 2
        with pytest.raises(BadParam, match=rf"smallest angle is {degrees:.2f}°"):
            intersection(a, b)
    assert len(intersection(a, b, tolerance=89.9)) == 1 if degrees < 89.9 else True


def test_ranks_add_up_and_the_difference_is_at_right_angles() -> None:
    common, a, b = spanned(2, 24, 0), spanned(3, 24, 1), spanned(5, 24, 2)
    left, right = union(common, a), union(common, b)
    assert (len(left), len(right)) == (5, 7)
    same_space(intersection(left, right), common)
    rest = difference(left, right)
    assert len(rest) == 3
    assert (rest @ right.mT).abs().max() < 1e-6
    assert len(union(left, right)) == len(right) + len(rest)
    same_space(union(right, rest), union(left, right))


def test_the_difference_is_what_the_null_space_of_the_other_lets_through() -> None:
    a, b = spanned(4, 20, 3), spanned(6, 20, 4)
    outside = torch.from_numpy(null_space(b.double().numpy()))  # [20, 14]
    oracle = protected_basis(a.double() @ outside @ outside.mT)
    same_space(difference(a, b), oracle)


def test_order_does_not_matter_where_it_should_not() -> None:
    a, b = union(spanned(2, 24, 0), spanned(3, 24, 1)), union(spanned(2, 24, 0), spanned(4, 24, 5))
    same_space(union(a, b), union(b, a))
    same_space(intersection(a, b), intersection(b, a))


def test_nothing_and_everything_are_refused() -> None:
    with pytest.raises(BadParam, match="nothing is left: all 2 directions"):
        difference(EYE[:2], EYE[:3])
    with pytest.raises(BadParam, match="spans all 6 dimensions"):
        union(EYE[:3], EYE[2:])
    for tolerance in (0, 90, -1, math.nan):
        with pytest.raises(BadParam, match=r"tolerance must be in \(0, 90\)"):
            union(EYE[:1], EYE[1:2], tolerance=tolerance)
