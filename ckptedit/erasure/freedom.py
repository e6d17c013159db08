"""Which steps of a weight directions, a mask and forbidden outputs allow together, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ckptedit.errors import BadParam
from ckptedit.guards.guard import SAME


@dataclass
class Freedom:
    """The projection of a step of A [out, k] (of W = W0 + A Qᵀ, or of W itself) onto what may move.

    directions: Q [d, k], orthonormal columns, or None: W moves freely
    mask:       bool [out, d]: entries of W that may move; None: all
    outputs:    U [out, r], orthonormal columns: what W writes there must stay, Uᵀ ΔW = 0; or None

    Q acts on columns, U on rows, so the two commute. A mask of whole rows commutes with Q. One of
    single entries does not: every row of A is then kept at right angles to the rows of Q that
    belong to its frozen entries. In the rows that a mask leaves, U is replaced by what of it lies
    there, column by column for a mask of single entries.
    """

    directions: Tensor | None
    mask: Tensor | None = None
    outputs: Tensor | None = None
    entries: Tensor | None = field(init=False, default=None)  # bool, broadcasts to A
    rows: Tensor | None = field(init=False, default=None)  # [out, k, k], projections of A's rows
    held: Tensor | None = field(init=False, default=None)  # of U: [out, r], or [d, out, r]

    def __post_init__(self) -> None:
        self.held = self.outputs
        if self.mask is None:
            return
        whole = self.mask[:, :1]
        if bool((self.mask == whole).all()):
            self.entries = whole
        elif self.directions is None:
            self.entries = self.mask
        elif self.outputs is None:
            self.rows = row_projections(self.directions, self.mask)
        else:
            raise BadParam(
                "directions, outputs and a mask of single entries do not go together; mask whole "
                "rows, or use fewer of them"
            )
        if self.entries is not None and self.outputs is not None:
            per_column = self.entries.mT[:, :, None] * self.outputs  # [1 or d, out, r]
            self.held = span(per_column[0] if len(per_column) == 1 else per_column)
            self._require_room()

    def _require_room(self) -> None:
        """Raises BadParam if entries may move, but outputs leave none of them."""
        assert self.entries is not None and self.held is not None
        if (
            self.entries.any() and self.entries.sum() - self.held.square().sum() < 0.5
        ):  # dimensions that are left
            raise BadParam(
                "no entry that the masks leave can move beside the outputs that are held; mask "
                "less, or use fewer of them"
            )

    def __call__(self, step: Tensor) -> Tensor:
        if self.rows is not None:
            return torch.einsum("okl,ol->ok", self.rows, step)
        if self.entries is not None:
            step = step * self.entries
        if self.held is None:
            return step
        if self.held.ndim == 2:
            return step - self.held @ (self.held.mT @ step)
        columns = step.mT[:, :, None]  # [d, out, 1]
        return step - (self.held @ (self.held.mT @ columns))[:, :, 0].mT


def joined(columns: Sequence[Tensor]) -> Tensor | None:
    """Orthonormal columns [out, r] of what several [out, r_i] span; None if there are none."""
    return span(torch.cat(list(columns), 1)) if columns else None


def span(columns: Tensor) -> Tensor:
    """Orthonormal columns [..., out, r] of the span of others; zero where they are dependent."""
    left, sizes, _ = torch.linalg.svd(columns.double(), full_matrices=False)
    return (left * (sizes > SAME)[..., None, :]).to(columns)


def row_projections(directions: Tensor, mask: Tensor) -> Tensor:
    """For each row of W, onto the rows a of A with (a Qᵀ)_j = 0 wherever the mask is false.

    directions: Q [d, k], orthonormal columns; mask: bool [out, d] -> [out, k, k]
    Raises BadParam if entries may move, but no row of A is left. Takes 4 · out · k² bytes.
    """
    q, found = directions.double(), []
    for frozen in (~mask).double().split(64):
        energy = torch.einsum("od,dk,dl->okl", frozen, q, q)  # of a at the frozen entries
        sizes, vectors = torch.linalg.eigh(energy)
        still = vectors * (sizes < SAME**2)[:, None, :]
        found.append((still @ still.mT).to(directions))
    rows = torch.cat(found)
    if not rows.any():
        raise BadParam(
            "no entry that the masks leave can move in the directions that the guards leave; mask "
            "less, or whole rows, or use fewer of them"
        )
    return rows
