"""Who looks at pictures: a judge, a pair of towers, another program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ckptedit.diffusion import Model
from ckptedit.evaluation.suite import Cell

Answers = dict[str, np.ndarray[Any, Any]]  # column -> one row for each picture
NOTHING = -1  # a class that the world has no name for


@dataclass(frozen=True)
class Given:
    """What the user named for eyes to look with.

    classifier: files of classifiers; clip: the folder of a CLIP model; detector: a command line
    """

    classifier: tuple[Path, ...] = ()
    clip: Path | None = None
    detector: str | None = None


NOBODY = Given()


class Eye(Protocol):
    """What columns of answers are called: "style", "object": int, the class that is seen, in the
    world's order, or NOTHING; "fit": the cosine of picture and prompt; "features" [n, e];
    "detector": a number.

    key: a digest of all that the answers depend on beside pictures and prompts; None: unknown, and
         so no answer is kept for the next time
    """

    @property
    def key(self) -> str | None: ...

    def look(self, model: Model, cells: Sequence[Cell], pictures: np.ndarray) -> Answers:
        """pictures: uint8 [n, height, width, 3], one for each cell."""
