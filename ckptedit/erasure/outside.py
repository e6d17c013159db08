"""Edits that leave a subspace alone: `erase --basis`.

A training is confined to the complement of the basis, as under a guard that forbids it. A closed
form is solved first, and what of its change would move the subspace is then taken off, Δ (I - BᵀB):
it is no longer the optimum of its own equation, but keeps its promise about the rest.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ckptedit.deltas.change import Dense, LowRank
from ckptedit.deltas.lowrank import on_grid
from ckptedit.erasure.method import Edits, Solution
from ckptedit.guards.guard import Guard, Reading, complement, confine
from ckptedit.subspaces.basis import Basis


class Outside(Guard):
    """Forbids a basis, whatever is retained."""

    exact = True
    more_room = "cut the basis (project --rank, --energy)"

    def __init__(self, basis: Basis) -> None:
        self.rows = torch.from_numpy(basis.rows)

    def forbids(self, reading: Reading) -> Tensor:
        return self.rows


def outside(solution: Solution, basis: Basis) -> Solution:
    """A solution without what of it would move the subspace, and without the method's own figures,
    which were of the whole edit. Raises BadParam if no direction is left."""
    free = complement([torch.from_numpy(basis.rows)])
    given = [solution.directions] if solution.directions is not None else []
    directions = confine([*given, free] if free is not None else given)
    edits = edits_outside(solution.edits, basis)
    return replace(solution, edits=edits, directions=directions, facts={})


def edits_outside(edits: Edits, basis: Basis) -> Edits:
    """Each change Δ [out, d] as Δ (I - BᵀB), in the form that it has."""
    rows = basis.rows.astype(np.float64)
    rows = np.linalg.qr(rows.T)[0].T  # orthonormal in float64 as it is in float32

    def without(change: LowRank | Dense) -> LowRank | Dense:
        if isinstance(change, LowRank):
            return replace(change, down=on_grid(_off(change.down, rows), len(change.down)))
        return Dense(_off(change.values, rows).astype(np.float32))

    found: Mapping[str, LowRank | Dense] = {name: without(edit) for name, edit in edits.items()}
    return found


def _off(values: NDArray[Any], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    exact = values.astype(np.float64)
    left: NDArray[np.float64] = exact - exact @ rows.T @ rows
    return left
