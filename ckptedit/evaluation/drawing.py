"""Cells to answers: the pictures of a suite are drawn in blocks, looked at, and kept.

A block is always the same cells, whoever draws it, so that a part of the blocks gives the very
answers that all of them give, and what was drawn once is not drawn again while the weights, the
prompts and the numbers are the same. Answers are kept on disk; so are pictures, unless they are
too many.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from ckptedit.diffusion import Model, noises_for, sample
from ckptedit.evaluation.eye import Answers, Eye
from ckptedit.evaluation.shard import BLOCK, Shard, of_shard
from ckptedit.evaluation.suite import Cell
from ckptedit.files.cache import MAX_TOTAL, cached, digest
from ckptedit.progress import Track

T = TypeVar("T")

MAX_KEPT = MAX_TOTAL // 4  # bytes of one evaluation's pictures
VERSION = "2"  # of what is kept; part of its key


def answers(
    model: Model,
    cells: Sequence[Cell],
    eyes: Sequence[Eye],
    *,
    shard: Shard,
    steps: int,
    guidance: float | None,
    track: Track,
) -> Answers:
    """What the eyes see in a shard's pictures, a row for each of `of_shard`, in its order."""
    mine = [cells[at] for at in of_shard(cells, shard)]
    blocks = [mine[at : at + BLOCK] for at in range(0, len(mine), BLOCK)]
    numbers = str([VERSION, steps, guidance])
    keeping = len(cells) * _bytes_of(model) <= MAX_KEPT
    ticks = Ticks(track, sum(-(-len(block) // model.batch) for block in blocks))
    rows = []
    for block in blocks:
        rows.append(_looked_at(model, block, eyes, numbers, steps, guidance, keeping, ticks))
    ticks.end()
    return {name: np.concatenate([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def _looked_at(
    model: Model,
    block: Sequence[Cell],
    eyes: Sequence[Eye],
    numbers: str,
    steps: int,
    guidance: float | None,
    keeping: bool,
    ticks: "Ticks",
) -> Answers:
    prompts = [cell.prompt for cell in block]
    tokens = model.text.pad(prompts)[0].cpu().numpy()
    key = digest([model.fingerprint(), numbers, *prompts, str([c.key for c in block]), tokens])

    def draw() -> np.ndarray:
        noise = noises_for(model.latent_shape, [cell.key for cell in block])
        return sample(
            model, prompts, noise=noise, steps=steps, guidance=guidance, track=ticks.inner
        )

    @cache
    def pictures() -> np.ndarray:
        return cached("pictures", key, draw) if keeping else draw()

    def ask(eye: Eye) -> Callable[[], Answers]:
        return lambda: eye.look(model, block, pictures())

    found: Answers = {}
    for eye in eyes:
        if eye.key is None:
            found |= ask(eye)()
        else:
            found |= cached("answers", digest([key, eye.key]), ask(eye))
    ticks.up_to(len(block), model.batch)
    return found


def _bytes_of(model: Model) -> int:
    """Of one picture."""
    _, height, width = model.latent_shape
    return 3 * height * width * model.enlarged**2


class Ticks:
    """One bar over all blocks: a tick for each batch, drawn or found."""

    def __init__(self, track: Track, total: int) -> None:
        self._bar = iter(track(range(total), "sampling"))
        self._done = 0  # batches of this block

    def inner(
        self,
        items: Iterable[T],
        label: str,
        total: int | None = None,
        note: Callable[[], str] | None = None,
    ) -> Iterator[T]:
        """The `Track` of one block's drawing."""
        for item in items:
            self._tick()
            yield item

    def up_to(self, cells: int, batch: int) -> None:
        """Ends a block; what was not drawn was there."""
        for _ in range(-(-cells // batch) - self._done):
            self._tick()
        self._done = 0

    def end(self) -> None:
        for _ in self._bar:
            pass

    def _tick(self) -> None:
        next(self._bar, None)
        self._done += 1
