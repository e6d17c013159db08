"""DELLA: as DARE, but an entry's chance to be kept rises with the rank of its magnitude in its row.

Deep et al., DELLA-Merging, 2024, https://arxiv.org/abs/2406.11617, section 3 (MagPrune): keep
probabilities rise linearly over the ranks of a row from density - epsilon to density + epsilon, and
what is kept is divided by its own probability.
Departures: a row is a slice along the first axis, and a vector is one row. Equal magnitudes rank by
index. The paper then elects signs and averages (`combine="ties"`) with λ (`--scale`). mergekit
rescales by the ratio of the L1 norms instead; sd-mecha ranks over the whole tensor.
"""

import numpy as np

from ckptedit.errors import BadParam
from ckptedit.merging.arithmetic.draws import draw, happens
from ckptedit.merging.arithmetic.ranks import magnitude_bits
from ckptedit.merging.arithmetic.votes import Combine, combined, require_combine
from ckptedit.merging.stack import Array, Kernel, Stack, Stretch, by_rows, require_edits


@by_rows
def della(
    stack: Stack,
    *,
    density: float = 0.5,
    epsilon: float = 0.15,
    combine: Combine = "ties",
    seed: int = 0,
) -> Kernel:
    """Merges n task vectors, each with a random share of its entries, large ones preferred.

    density: mean chance of an entry to be kept
    epsilon: half the range of the chances; density ± epsilon must lie in (0, 1]
    combine: ties: elect a sign, average those who agree; sum: added up
    """
    require_edits(stack, "della", 1)
    require_combine(combine)
    if not (0 <= epsilon < density <= 1 - epsilon):
        raise BadParam(f"density ± epsilon must lie in (0, 1], got {density} ± {epsilon}")

    def dropped(stretch: Stretch, edit: int) -> Array:
        rows = stretch.deltas[edit].reshape(-1, stack.row)
        chance = (density - epsilon + 2 * epsilon * relative_ranks(rows)).reshape(-1)
        words = draw(seed, stack.name, edit, stretch.start, len(chance))
        factor = happens(words, chance) * (stack.weights[edit] / chance)
        return stretch.deltas[edit] * factor.astype(np.float32)

    edits = range(len(stack.weights))
    return lambda stretch: combined([dropped(stretch, edit) for edit in edits], combine)


def relative_ranks(rows: Array) -> Array:
    """The rank of each magnitude in its row, as a share: [r, d] -> [r, d] float64, 0 for the
    smallest and 1 for the largest; 1/2 in a row of one entry."""
    width = rows.shape[1]
    if width == 1:
        return np.full(rows.shape, 0.5)
    bits = magnitude_bits(np.ascontiguousarray(rows)).astype(np.uint64)
    columns = np.arange(width, dtype=np.uint64)
    order = np.sort(bits << np.uint64(32) | columns, axis=1) & np.uint64((1 << 32) - 1)
    ranks = np.empty(rows.shape)
    places = np.broadcast_to(np.arange(width) / (width - 1), rows.shape)
    np.put_along_axis(ranks, order.astype(np.int64), places, axis=1)
    return ranks
