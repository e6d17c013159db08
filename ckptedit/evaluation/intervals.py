"""How far a share would move had other pictures been drawn: bootstrap intervals of 95 %.

Efron, 1979: percentiles of what comes out when the units are drawn again, with replacement. The
unit is a picture where the concepts themselves are the question (what was erased), and a concept
with all its pictures where they stand for others (what is retained), if there are enough of them.
A percentile of nothing but equal answers would be no interval; then it is the exact one of a share,
Clopper & Pearson, 1934: of n units that all agree, the share is within 1 - 0.025 ** (1 / n).
"""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0  # the same answers give the same interval
FEW = 5  # groups; fewer cannot stand for others, and their pictures are drawn again instead

Interval = tuple[float, float]


def interval(
    groups: Sequence[Sequence[float]],
    *,
    whole: bool = False,
    pooled: bool = False,
    within: Interval | None = (0.0, 1.0),
) -> Interval | None:
    """The interval of a mean of groups' means. None without values, or if none can be told.

    groups: values of a concept's pictures, concept by concept
    whole:  the unit is a group, not a value; of FEW or more
    pooled: the mean is that of all values instead
    within: the range of a share (of differences of shares: -1, 1); None: values have no range
    """
    rows = [np.asarray(group, np.float64) for group in groups if len(group)]
    if not rows:
        return None
    flat = np.concatenate(rows)
    drawn_whole = whole and len(rows) >= FEW
    if np.ptp(flat) == 0:
        units = len(rows) if drawn_whole else len(flat)
        return None if within is None else _exact(float(flat[0]), units, within)
    rng = np.random.default_rng(SEED)
    if not drawn_whole and min(map(len, rows)) < 2:  # a group of one, drawn again, is itself
        rows = [flat]
    counts = np.array([len(row) for row in rows], np.float64)
    if drawn_whole:
        sums = np.array([row.sum() for row in rows])
        pick = rng.integers(len(rows), size=(RESAMPLES, len(rows)))
        sums, counts = sums[pick], counts[pick]  # [r, g]
    else:
        drawn = [row[rng.integers(len(row), size=(RESAMPLES, len(row)))].sum(1) for row in rows]
        sums = np.stack(drawn, 1)  # [r, g]
        counts = np.broadcast_to(counts, sums.shape)
    means = sums.sum(1) / counts.sum(1) if pooled else (sums / counts).mean(1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _exact(value: float, n: int, within: Interval) -> Interval:
    away = 1 - ((1 - LEVEL) / 2) ** (1 / n)
    return max(within[0], value - away), min(within[1], value + away)
