"""Unions, intersections and differences of subspaces, up to an angle.

Subspaces of floats have no direction in common to the bit. So what counts as common are the pairs
of principal vectors (Björck & Golub, 1973, https://doi.org/10.1090/S0025-5718-1973-0348991-3) that
are at most `tolerance` degrees apart. With c such pairs of A (rank r) and B (rank s)

    the intersection has rank c, the difference of A and B rank r - c, the union rank r + s - c.

The difference is what of A lies outside of B, and at right angles to it: (I - P_B) A. Everything
here takes and returns bases [r, d] with orthonormal rows; sums are in float64.
"""

from math import radians, sin
from typing import NamedTuple

import torch
from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.subspaces.subspace import angles_between

TOLERANCE = 1.0  # degrees: what lies outside then is 3e-4 of a direction's energy


class Parted(NamedTuple):
    """A as principal vectors towards B: u [r, d]; what of each is inside B [r, d], and outside
    [r, d]; common: bool [r], whether it counts as one of B."""

    u: Tensor
    inside: Tensor
    outside: Tensor
    common: Tensor


def union(a: Tensor, b: Tensor, *, tolerance: float = TOLERANCE) -> Tensor:
    """Finds a basis of all that lies in A, in B, or between them.

    tolerance: degrees, in (0, 90), up to which a direction of B counts as one of A
    Raises BadParam if that is everything.
    """
    parted = _parted(b, a, tolerance)
    found = torch.cat([_orthonormal(a), _unit(parted.outside[~parted.common])])
    if len(found) >= a.shape[1]:
        raise BadParam(
            f"the union spans all {a.shape[1]} dimensions; join fewer concepts, or cut them by "
            f"rank or energy"
        )
    return found.to(a)


def difference(a: Tensor, b: Tensor, *, tolerance: float = TOLERANCE) -> Tensor:
    """Finds a basis of what A has and B has not: orthogonal to B. Raises BadParam if nothing is."""
    parted = _parted(a, b, tolerance)
    if parted.common.all():
        raise BadParam(
            f"nothing is left: all {len(a)} directions are within {tolerance:g}° of what is taken "
            f"away; take less away, or lower the tolerance"
        )
    return _unit(parted.outside[~parted.common]).to(a)


def intersection(a: Tensor, b: Tensor, *, tolerance: float = TOLERANCE) -> Tensor:
    """Finds a basis of what A and B have in common: midway between their principal vectors.

    Raises BadParam if they have nothing in common.
    """
    parted = _parted(a, b, tolerance)
    if not parted.common.any():
        raise BadParam(
            f"they have no direction in common: the smallest angle is "
            f"{angles_between(a, b)[0]:.2f}°, the tolerance {tolerance:g}°"
        )
    return _unit(_unit(parted.inside[parted.common]) + parted.u[parted.common]).to(a)


def require_tolerance(tolerance: float) -> None:
    """Raises BadParam for an angle at which nothing, or everything, would be in common."""
    if not 0 < tolerance < 90:
        raise BadParam(f"tolerance must be in (0, 90) degrees, not {tolerance}")


def _parted(a: Tensor, b: Tensor, tolerance: float) -> Parted:
    require_tolerance(tolerance)
    a, b = _orthonormal(a), _orthonormal(b)
    turn, _, _ = torch.linalg.svd(a @ b.mT)
    u = turn.mT @ a
    inside = (u @ b.mT) @ b
    outside = u - inside
    return Parted(u, inside, outside, outside.norm(dim=1) <= sin(radians(tolerance)))


def _orthonormal(basis: Tensor) -> Tensor:
    """The rows as orthonormal in float64 as they are in float32."""
    q, r = torch.linalg.qr(basis.double().mT)
    return (q * r.diagonal().sign()).mT


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)
