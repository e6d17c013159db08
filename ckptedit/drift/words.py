"""The collateral map: how far an edit moves the keys and values of every word.

A word's embedding e [d] gives keys and values W e. Over all K/V weights, an edit Δ moves them by

    moved(e)² = Σ ‖Δ e‖² / Σ ‖W e‖² = eᵀ (Σ ΔᵀΔ) e / eᵀ (Σ WᵀW) e,

so two matrices [d, d] and one product tell it of the whole vocabulary. Where the text encoder was
edited too, a word comes in as e + δ, and what moves is Δ (e + δ) + W δ: its square has three terms,
with Σ ΔᵀW between them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ckptedit.drift.along import compared_kv, pair
from ckptedit.drift.comparison import Comparison
from ckptedit.families import Family
from ckptedit.files import Checkpoint
from ckptedit.progress import Track, silent

Matrix = NDArray[np.float64]

BLOCK = 4096  # words at a time


@dataclass(frozen=True)
class MovedWord:
    """moved: ‖Δ e‖ / ‖W e‖ over all K/V weights, at the word and at the end of the text after it;
    keys, values: over those alone"""

    word: str
    moved: float
    keys: float
    values: float


@dataclass(frozen=True)
class MovedWords:
    """count: words in all; median: of `moved` over them; farthest: those that moved most."""

    count: int
    median: float
    farthest: list[MovedWord]

    def as_dict(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "median": self.median,
            "farthest": [asdict(word) for word in self.farthest],
        }


@dataclass
class Grams:
    """Sums over K/V weights, [d, d] each: Σ WᵀW, Σ ΔᵀΔ, and Σ ΔᵀW."""

    before: Matrix
    change: Matrix
    cross: Matrix

    @classmethod
    def none(cls, dim: int) -> "Grams":
        return cls(*(np.zeros((dim, dim)) for _ in range(3)))

    def add(self, before: Matrix, after: Matrix) -> None:
        delta = after - before
        self.before += before.T @ before
        self.change += delta.T @ delta
        self.cross += delta.T @ before

    def moved(self, old: Matrix, new: Matrix) -> tuple[Matrix, Matrix]:
        """Σ ‖Δ (e + δ) + W δ‖² and Σ ‖W e‖² of embeddings before and after: [..., d] -> [...]"""
        far, shift = quadratic(new, self.change), new - old
        if shift.any():
            far += 2 * quadratic(new, self.cross, shift) + quadratic(shift, self.before)
        return np.maximum(far, 0.0), quadratic(old, self.before)


def quadratic(left: Matrix, matrix: Matrix, right: Matrix | None = None) -> Matrix:
    """xᵀ M y of each row x [..., d] and its y, which is x itself unless given: [...]"""
    found: Matrix = ((left @ matrix) * (left if right is None else right)).sum(axis=-1)
    return found


def moved_words(
    comparison: Comparison,
    old: Checkpoint,
    new: Checkpoint,
    family: Family,
    *,
    count: int,
    reading: Mapping[str, Any] | None = None,
    track: Track = silent,
) -> MovedWords:
    """Measures every word that the tokenizer has as one token, and every concept of the lexicon.

    count:   of the farthest to be listed
    reading: how the text is read, `load_text_encoder`'s tokenizer and clip_skip; default: as usual
    Raises what `compared_kv` and `pair` raise.
    """
    weights = compared_kv(comparison, old, family)
    names, before, after = words_before_and_after(
        comparison, old, new, family, reading or {}, track
    )
    grams = {role: Grams.none(family.text_width) for role in ("k", "v")}
    for weight in track(weights, "measuring keys and values"):
        grams[weight.role].add(*pair(weight, old, new))
    sums = np.concatenate(list(_sums([grams["k"], grams["v"]], before, after)), axis=1)  # [2, n, 2]
    farness, size = sums.sum(axis=0).T
    keys, values = (np.sqrt(_ratio(*part.T)) for part in sums)
    moved = np.sqrt(_ratio(farness, size))
    order = np.argsort(-moved, kind="stable")[:count]
    return MovedWords(
        len(names),
        float(np.median(moved)),
        [MovedWord(names[i], *(float(x[i]) for x in (moved, keys, values))) for i in order],
    )


def words_before_and_after(
    comparison: Comparison,
    old: Checkpoint,
    new: Checkpoint,
    family: Family,
    reading: Mapping[str, Any],
    track: Track,
) -> tuple[Sequence[str], NDArray[Any], NDArray[Any]]:
    """The words, and their embeddings by either side's text encoder: [n, 2, d] float32 each."""
    from ckptedit.subspaces.wordlist import known_words

    names, before = known_words(old, family, **reading, track=track)
    if not any(tensor.component == "text" for tensor in comparison.changed):
        return names, before, before
    return names, before, known_words(new, family, **reading, track=track)[1]


def _sums(grams: Sequence[Grams], old: NDArray[Any], new: NDArray[Any]) -> Iterator[Matrix]:
    """Block by block of words, for each of the grams: [2, n, 2], how far, and of how much."""
    for start in range(0, len(old), BLOCK):
        block = slice(start, start + BLOCK)
        sides = [side[block].astype(np.float64) for side in (old, new)]
        pairs = [np.stack(each.moved(*sides), axis=-1).sum(axis=1) for each in grams]
        yield np.stack(pairs)


def _ratio(part: Matrix, whole: Matrix) -> Matrix:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
