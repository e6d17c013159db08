"""A request, and dense formulas in float64 to hold the closed forms against."""

import numpy as np
import torch

from ckptedit.concepts.request import Request
from ckptedit.concepts.targets import Target

OUT, DIM = 24, 32


def request(*names: str, anchor: str = "photo", earlier: tuple[str, ...] = ("monet",)) -> Request:
    return Request(
        targets=tuple(Target(name, "style", anchor) for name in names),
        earlier=tuple(Target(name, "style", anchor) for name in earlier),
        retain={"style": ("hokusai", "painting"), "object": ()},
        companions={"style": (), "object": ("cat", "dog", "tree")},
    )


STAY = ("hokusai", "painting", "cat", "dog", "tree")  # of the request above, in order


def weights(count: int = 2, out: int = OUT) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {f"w{i}": torch.randn(out, DIM, generator=rng) for i in range(count)}


def columns(words, names) -> np.ndarray:
    """The last tokens of names [d, n] float64."""
    return words.last_tokens(list(names)).double().numpy().T


def dense(solution, name: str = "w0") -> np.ndarray:
    change = solution.edits[name]
    flat = change.stretch(0, int(np.prod(change.shape)))
    return np.asarray(flat).reshape(change.shape)


def textbook_uce(w, goal, c, c0, erase, preserve, ridge, general=0.0) -> np.ndarray:
    """W' of unified concept editing, as the paper writes it."""
    eye = np.eye(len(c))
    more = preserve * c0 @ c0.T + general
    left = ridge * w + erase * w @ goal @ c.T + w @ more
    return left @ np.linalg.inv(ridge * eye + erase * c @ c.T + more)
