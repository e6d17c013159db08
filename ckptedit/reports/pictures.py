"""Pictures before and after, small enough to be part of the page."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from ckptedit.diffusion import Model, choose_threads, threads
from ckptedit.diffusion.sheet import side_by_side
from ckptedit.errors import BadParam
from ckptedit.progress import Track, plan, silent
from ckptedit.reports.rows import Row

MOST_PAIRS = 250  # 500 pictures: more than anyone looks at, and some 10 MB of a page
WIDEST = 384  # pixels of a picture on the page
SMALL = 128  # pixels up to which a picture is kept bit for bit
QUALITY = 82  # of WEBP: about 20 KB for 384 x 384


@dataclass(frozen=True)
class Pair:
    """The same prompt and noise before and after, as data URIs."""

    seed: int
    before: str
    after: str


@dataclass(frozen=True)
class Strip:
    """A row of the page."""

    row: Row
    pairs: tuple[Pair, ...]
    width: int  # pixels of a picture as it was drawn
    height: int


def strips(
    base: Model, edited: Model, rows: Sequence[Row], *, seeds: int, steps: int,
    track: Track = silent,
) -> list[Strip]:  # fmt: skip
    """Draws every row from noises 0, 1, ... seeds - 1, as `sample --against` draws them."""
    plan(track, [("sampling", 1)] * 2)
    prompts = list(dict.fromkeys(row.prompt for row in rows))
    with threads(choose_threads(base.unet)):
        drawn = side_by_side([base, edited], prompts, seeds=seeds, steps=steps, track=track)
    found = []
    for row in rows:
        cells = drawn[prompts.index(row.prompt)]  # [seeds, 2, height, width, 3]
        pairs = [Pair(n, *map(data_uri, pair)) for n, pair in enumerate(cells)]
        found.append(Strip(row, tuple(pairs), cells.shape[3], cells.shape[2]))
    return found


def require_few(rows: Sequence[Row], seeds: int) -> None:
    """Raises BadParam for more pictures than a page can hold."""
    if len(rows) * seeds > MOST_PAIRS:
        raise BadParam(
            f"{len(rows)} prompts from {seeds} seeds are {len(rows) * seeds} pairs of pictures, "
            f"and a page holds {MOST_PAIRS}: take fewer --seeds or --prompt"
        )


def data_uri(picture: np.ndarray) -> str:
    """picture: [height, width, 3] uint8 -> WEBP, no wider than WIDEST, as a data URI."""
    from PIL import Image

    image = Image.fromarray(picture)
    lossless = max(image.size) <= SMALL
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(
        buffer, format="WEBP", lossless=lossless, quality=100 if lossless else QUALITY, method=6
    )
    return "data:image/webp;base64," + b64encode(buffer.getvalue()).decode()
