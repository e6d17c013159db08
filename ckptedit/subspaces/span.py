"""What concepts span: their embeddings in several sentences, as a subspace of few directions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ckptedit.concepts.templates import NEUTRAL_FRAME
from ckptedit.errors import BadParam
from ckptedit.families import Family
from ckptedit.files import Checkpoint
from ckptedit.subspaces.basis import read_basis
from ckptedit.subspaces.sets import TOLERANCE, union
from ckptedit.subspaces.subspace import check_cut, protected_basis
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.tokens import end_embeddings, token_embeddings

FRAMES = ("{}", NEUTRAL_FRAME, "a photo of {}", "an image of {}", "{} style", "a painting by {}")
POSITIONS = ("concept", "all", "eos", "pooled")


@dataclass(frozen=True)
class Cut:
    """How much of a subspace is kept: at most `rank` directions, and as many as hold `energy`."""

    rank: int | None = None
    energy: float | None = None


WHOLE = Cut()


@dataclass(frozen=True)
class Spans:
    """Names, and files of subspaces, as subspaces of what one encoder says.

    tokens: "concept": the embeddings of a concept's own tokens; "pooled": their mean, one vector a
            sentence, as Lee et al., https://arxiv.org/abs/2511.07970, have it; "eos": of the token
            that ends the text, where CLIP sums it up; "all": of every position, the beginning, the
            end and all padding among them
    center: whether the mean of the embeddings is taken off first. W reads it like any other
            direction: what is centred tells concepts apart, and keeps none of them where it was
    """

    encoder: TextEncoder
    family: Family
    tokens: str = "concept"
    cut: Cut = WHOLE
    center: bool = False
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if self.tokens not in POSITIONS:
            raise BadParam(f"tokens must be one of {', '.join(POSITIONS)}, not {self.tokens!r}")
        check_cut(self.cut.rank, self.cut.energy)

    def basis(self, parts: Sequence[str | Checkpoint]) -> Tensor:
        """[r, d] float32: the union of what the names span, cut, and of the files' subspaces."""
        names, files = _sorted(parts)
        bases = [self._file(file) for file in files]
        if names:
            embeddings = self._embeddings(names)
            cut = protected_basis(embeddings, rank=self.cut.rank, energy=self.cut.energy)
            bases.insert(0, cut)
        first, *others = bases
        for other in others:
            first = union(first, other, tolerance=self.tolerance)
        return first

    def rows(self, parts: Sequence[str | Checkpoint]) -> Tensor:
        """[m, d] float32, whose energy counts: the names' embeddings; without names, the bases."""
        names, files = _sorted(parts)
        return self._embeddings(names) if names else torch.cat([self._file(f) for f in files])

    def _file(self, file: Checkpoint) -> Tensor:
        return torch.from_numpy(read_basis(file, self.family).rows)

    def _embeddings(self, concepts: Sequence[str]) -> Tensor:
        """Of the concepts in FRAMES. BadParam for one that is empty, or too long for a prompt."""
        for concept in concepts:
            self.encoder.require_concept(concept)
        pairs = [(frame.format(c), c) for c in dict.fromkeys(concepts) for frame in FRAMES]
        found = self._of([prompt for prompt, _ in pairs], [c for _, c in pairs]).cpu()
        return found - found.mean(dim=0) if self.center else found

    def _of(self, prompts: list[str], concepts: list[str]) -> Tensor:
        """[m, d], the embeddings that `tokens` asks for, of prompts that hold a concept each."""
        if self.tokens == "all":
            return token_embeddings(self.encoder, prompts)
        if self.tokens == "eos":
            return end_embeddings(self.encoder, prompts)
        own = token_embeddings(self.encoder, prompts, concepts)
        if self.tokens == "concept":
            return own
        places = map(self.encoder.positions, prompts, concepts)
        return torch.stack([rows.mean(dim=0) for rows in own.split(list(map(len, places)))])


def _sorted(parts: Sequence[str | Checkpoint]) -> tuple[list[str], list[Checkpoint]]:
    """Names and files apart."""
    names = [part for part in parts if isinstance(part, str)]
    return names, [part for part in parts if isinstance(part, Checkpoint)]
