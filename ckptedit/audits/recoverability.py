"""The embedding that makes the edited weights say what the original said of the concept.

Of the concept's embedding c, over all K/V weights W before and W' after the edit,

    ĉ = argmin Σ ‖W' ĉ - W c‖² + λ ‖ĉ - c‖² = c + (Σ W'ᵀW' + λ I)⁻¹ Σ W'ᵀ(W - W') c

is the derived embedding of RECE (Gong et al., ECCV 2024, https://arxiv.org/abs/2407.12383), which
that method erases in turn. What it misses, ‖W' ĉ - W c‖ / ‖W (c - a)‖ with the anchor's a, of keys
or of values, whichever is more, is 0 where all comes back. Whoever may write embeddings (textual
inversion) can have it; how far it lies from any word says whether whoever can only type may come
upon it.

Departs from it: λ, a share of the mean eigenvalue of Σ WᵀW, holds ĉ to c and not to 0, so that an
edit of nothing needs no other embedding; both the name's last token and the end of the text after
it are restored, as prompts have both.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Products, Subject, ratio
from ckptedit.errors import BadParam
from ckptedit.params import Within
from ckptedit.progress import Track
from ckptedit.subspaces.wordlist import known_words, word_embeddings

BLOCK = 8192  # words at a time


class Recoverability(Probe):
    """How near embeddings can come to what was erased, and how far those lie from any word."""

    by = "embeddings"
    bounds: ClassVar[Mapping[str, Bound]] = {
        "min_distance": Bound("from_word", most=False),
        "max_restored": Bound("restored", share=True),
    }

    def __init__(
        self,
        *,
        bound: Annotated[
            float, Within("(0, inf)"), "λ, share of the mean eigenvalue that holds ĉ to c"
        ] = 5e-3,
        words: Annotated[int, Within("[1, inf)"), "nearest words that are listed"] = 5,
    ) -> None:
        self.bound, self.words = bound, words

    def run(self, subject: Subject, track: Track) -> Finding:
        named = [subject.target.concept, subject.target.anchor]
        real, anchor = word_embeddings(subject.encoder, named).double()  # [2, d] each
        every = subject.all_products
        apart = every.between(real, anchor)
        if not apart.sum() > 0:
            raise BadParam(f"{named[0]!r} and its anchor {named[1]!r} are one to these weights")
        typed = word_embeddings(subject.edited, named[:1])[0].double()  # what the name is now
        found = derived(typed, real, every, self.bound)
        missed, erased = (
            max(
                ratio(each.apart(embedding, real), each.between(real, anchor))
                for each in subject.products.values()
            )
            for embedding in (found, typed)
        )
        length = float(real.norm())
        names, words = known_words(
            subject.checkpoint, subject.family, **subject.reading, track=track
        )
        near = distances(found, torch.from_numpy(words)) / length  # [n]
        rows = [
            {"word": names[int(i)], "distance": float(near[i])}
            for i in near.argsort(stable=True)[: self.words]
        ]
        restored = 1 - min(missed, 1.0)
        figures = {
            "restored": restored, "missed": missed,
            "erased": erased,
            "from_name": float((found - typed).norm()) / length,
            "from_word": rows[0]["distance"], "word": rows[0]["word"],
            "norm": float(found.norm()) / length,
            "spacing": self._spacing(typed, names, torch.from_numpy(words), named[0]) / length,
        }  # fmt: skip
        says = (
            f"an embedding restores {restored:.0%} of it, {figures['from_word']:.2f} of its length "
            f"from the nearest word, {figures['word']!r} (words lie {figures['spacing']:.2f} apart)"
        )
        return Finding(restored, says, figures, rows)

    def _spacing(self, typed: Tensor, names: list[str], words: Tensor, own: str) -> float:
        """From the name as it is to the nearest other word."""
        far = distances(typed, words)
        return float(min(d for d, name in zip(far.tolist(), names, strict=True) if name != own))


def derived(typed: Tensor, real: Tensor, products: Products, bound: float) -> Tensor:
    """ĉ [k, d] nearest to what the name is now, c' [k, d], that says of W' what c [k, d] said of W.

    typed: c', which is c unless a text encoder was edited
    """
    dim = len(products.before)
    held = bound * products.before.trace() / dim * torch.eye(dim, dtype=torch.float64)
    missing = real @ products.cross.T - typed @ products.after  # rows of W'ᵀ(W c - W' c')
    factor = torch.linalg.cholesky(products.after + held)
    return typed + torch.cholesky_solve(missing.T, factor).T


def distances(found: Tensor, words: Tensor) -> Tensor:
    """From [2, d] to each of words [n, 2, d], both places together: [n] float64"""
    parts = [(part.double() - found).square().sum((1, 2)).sqrt() for part in words.split(BLOCK)]
    return torch.cat(parts)
