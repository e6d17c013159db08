"""A concept as a subspace: what `ckptedit project` finds out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.neighbors import Neighbor, nearest, readable
from ckptedit.concepts.templates import NEUTRAL_FRAME
from ckptedit.errors import BadCheckpoint, BadParam, Incompatible
from ckptedit.families import Family, detect
from ckptedit.files import Checkpoint, Spec, Written, write
from ckptedit.subspaces.subspace import check_cut, principal_angles, protected_basis
from ckptedit.text.encoder import TextEncoder, load_text_encoder
from ckptedit.text.tokens import require_tokens, token_embeddings

FRAMES = ("{}", NEUTRAL_FRAME, "a photo of {}", "an image of {}", "{} style", "a painting by {}")


@dataclass(frozen=True)
class Subspace:
    """What a set of concepts looks like to the K/V weights.

    basis:     [r, d] float32, orthonormal rows, strongest direction first
    energies:  [r] share of the tokens' squared norm along each direction, falling
    neighbors: nearest first, the concepts and their other names left out
    """

    concepts: tuple[str, ...]
    tokens: str
    family: str
    basis: Tensor
    energies: list[float]
    neighbors: list[Neighbor] = field(default_factory=list)

    @property
    def rank(self) -> int:
        return self.basis.shape[0]

    @property
    def dim(self) -> int:
        return self.basis.shape[1]


@dataclass(frozen=True)
class Cut:
    """How much of a subspace is kept: at most `rank` directions, and as many as hold `energy`."""

    rank: int | None = None
    energy: float | None = None


def project(
    checkpoint: Checkpoint | str | Path,
    concepts: str | Sequence[str],
    *,
    neighbors: int = 10,
    tokens: str = "concept",
    cut: Cut = Cut(),
    tokenizer: str | Path | None = None,
) -> Subspace:
    """Builds the subspace that the concepts' token embeddings span, in several sentences.

    concepts: one or more, as they occur in prompts
    tokens:   "concept": the embeddings of the concept's own tokens; "all": of every position,
              beginning, end and padding included
    """
    require_tokens(tokens)
    check_cut(cut.rank, cut.energy)
    if not concepts:
        raise BadParam("name at least one concept")
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    family = detect(checkpoint)
    given = Path(tokenizer) if tokenizer else None
    encoder = load_text_encoder(checkpoint, family, tokenizer=given)
    named = one_or_more(concepts)
    return concept_subspace(
        encoder, named, family=family, neighbors=neighbors, tokens=tokens, cut=cut
    )


def concept_subspace(
    encoder: TextEncoder,
    concepts: Sequence[str],
    *,
    family: Family,
    neighbors: int = 10,
    tokens: str = "concept",
    cut: Cut = Cut(),
) -> Subspace:
    """As `project`, with an encoder that is loaded already."""
    pairs = [(frame.format(c), c) for c in dict.fromkeys(concepts) for frame in FRAMES]
    for concept in concepts:
        encoder.require_concept(concept)
    own = [concept for _, concept in pairs] if tokens == "concept" else None
    embeddings = token_embeddings(encoder, [prompt for prompt, _ in pairs], own).cpu()
    basis = protected_basis(embeddings, rank=cut.rank, energy=cut.energy)
    along = (embeddings.double() @ basis.double().mT).square().sum(dim=0)
    words = readable(encoder, lexicon_of(family))
    return Subspace(
        concepts=tuple(concepts),
        tokens=tokens,
        family=family.name,
        basis=basis,
        energies=(along / embeddings.double().square().sum()).tolist(),
        neighbors=nearest(encoder, concepts, words, count=neighbors),
    )


def save_subspace(subspace: Subspace, target: str | Path, *, force: bool = False) -> Written:
    """Writes a subspace as safetensors: the tensor "basis", and what it is of in the metadata."""
    basis = subspace.basis.contiguous()
    metadata = {
        "ckptedit.subspace": json.dumps(
            {
                "concepts": list(subspace.concepts),
                "tokens": subspace.tokens,
                "family": subspace.family,
                "neighbors": [neighbor.concept for neighbor in subspace.neighbors],
            },
            ensure_ascii=False,
        )
    }
    spec = Spec("basis", "F32", tuple(basis.shape))
    return write(target, [spec], [basis.numpy()], metadata, force=force)


def read_basis(source: Checkpoint | str | Path) -> Tensor:
    """Reads the basis [r, d] of a file that `save_subspace` wrote."""
    checkpoint = source if isinstance(source, Checkpoint) else Checkpoint(source)
    if "basis" not in checkpoint or len(checkpoint["basis"].shape) != 2:
        raise BadCheckpoint(f"{checkpoint.label} holds no subspace, no tensor 'basis' [r, d]")
    basis = checkpoint.tensor("basis").float()
    identity = torch.eye(len(basis))
    if not torch.allclose(basis @ basis.mT, identity, atol=1e-4):
        raise BadCheckpoint(f"{checkpoint.label}: the rows of 'basis' are not orthonormal")
    return basis


def angles_between(a: Tensor, b: Tensor) -> list[float]:
    """Principal angles between two subspaces in degrees, smallest first."""
    if a.shape[1] != b.shape[1]:
        raise Incompatible(
            f"the subspaces are of different text encoders: widths {a.shape[1]} and {b.shape[1]}"
        )
    return torch.rad2deg(principal_angles(a, b)).tolist()
