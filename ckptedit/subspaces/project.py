"""A concept as a subspace: what `ckptedit project` finds out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.neighbors import Embed, Neighbor, concept_embeddings, nearest, readable
from ckptedit.concepts.private import hidden, hides, salt_of
from ckptedit.errors import BadParam
from ckptedit.families import detect
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, Spec, Written, opened, write
from ckptedit.progress import Track, silent
from ckptedit.subspaces.basis import FACTS, TENSOR, Part, concepts_of, label_of, parts
from ckptedit.subspaces.sets import TOLERANCE, difference, intersection, require_tolerance
from ckptedit.subspaces.span import WHOLE, Cut, Spans
from ckptedit.subspaces.subspace import angles_between, coverage
from ckptedit.subspaces.wordlist import whole_words, word_embeddings
from ckptedit.text.embeddings import wanted_prompts
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.load import load_text_encoder
from ckptedit.text.outside import read_elsewhere
from ckptedit.text.table import PromptTable

LEXICON, VOCABULARY = "lexicon", "vocabulary"  # what neighbours are looked for among


@dataclass(frozen=True, slots=True)
class Nearby(Neighbor):
    """A neighbour, and how far its own subspace is from the one that was asked for.

    angle:  the smallest principal angle, in degrees
    shared: share of the neighbour's energy that lies inside, 0..1
    """

    angle: float
    shared: float


@dataclass(frozen=True)
class Subspace:
    """What a set of concepts looks like to the K/V weights.

    basis:     [r, d] float32, orthonormal rows, strongest direction first
    energies:  [r] share of the concepts' squared norm along each direction, falling
    neighbors: nearest first, the concepts and their other names left out
    angles:    to what it was held against, smallest first, in degrees; None if to nothing
    center, within, minus: as `project` has them
    salt:      of the hashes that stand for names in the checkpoint's ledger, and in the file of
               this; None: names stand there
    """

    concepts: tuple[str, ...]
    tokens: str
    family: str
    basis: Tensor
    energies: list[float]
    neighbors: list[Nearby] = field(default_factory=list)
    angles: list[float] | None = None
    center: bool = False
    within: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    salt: str | None = None

    @property
    def rank(self) -> int:
        return self.basis.shape[0]

    @property
    def dim(self) -> int:
        return self.basis.shape[1]


def project(
    checkpoint: Checkpoint | str | Path,
    concepts: Part | Sequence[Part],
    *,
    within: Part | Sequence[Part] = (),
    minus: Part | Sequence[Part] = (),
    against: Part | Sequence[Part] = (),
    neighbors: int = 10,
    among: str | Sequence[str] = LEXICON,
    tokens: str = "concept",
    cut: Cut = WHOLE,
    center: bool = False,
    tolerance: float = TOLERANCE,
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    embeddings: Checkpoint | str | Path | PromptTable | None = None,
    text_encoder: str | Path | None = None,
    track: Track = silent,
) -> Subspace:
    """Builds the subspace that the concepts' token embeddings span, in several sentences.

    concepts:  one or more: names as they occur in prompts, or files of subspaces (a text is one if
               it ends in .safetensors, or begins with ./, ../ or /). Several are their union
    within:    only what that has in common with each of these; minus: of that, only what the union
               of these has not. Names or files, too
    against:   names or files, to whose union the angles are measured
    neighbors: how many to list, 0 or more; among: "lexicon", "vocabulary", which is the words that
               the tokenizer has as one token, or a list of names
    tokens:    which embeddings make it: "concept", "all", "eos" or "pooled", see `Spans`
    cut, center: of the embeddings of names; a file is taken as it is
    tokenizer, clip_skip: as in `load_text_encoder`
    embeddings, text_encoder: as in `erase`
    tolerance: degrees, in (0, 90), up to which two directions count as one
    """
    require_tolerance(tolerance)
    named, common, taken, held = map(parts, (concepts, within, minus, against))
    if not named:
        raise BadParam("name at least one concept")
    with opened(checkpoint) as base:
        family = detect(base)
        stock = list(lexicon_of(family))
        elsewhere = read_elsewhere(base, family, stock, embeddings=embeddings, folder=text_encoder)
        encoder = elsewhere or load_text_encoder(
            base, family, tokenizer=tokenizer, clip_skip=clip_skip
        )
        spans = Spans(encoder, family, tokens, cut, center, tolerance)
        basis = spans.basis(named)
        for other in common:
            basis = intersection(basis, spans.basis([other]), tolerance=tolerance)
        if taken:
            basis = difference(basis, spans.basis(taken), tolerance=tolerance)
        basis, energies = strongest_first(basis, spans.rows(named))
        names = tuple(name for part in named for name in names_of(part))
        words, embed = candidates(spans, among, track)
        return Subspace(
            concepts=names,
            tokens=tokens,
            family=family.name,
            basis=basis,
            energies=energies,
            neighbors=[
                nearby(spans, basis, neighbor)
                for neighbor in nearest(encoder, names, words, count=neighbors, embed=embed)
            ],
            angles=angles_between(basis, spans.basis(held)) if held else None,
            center=center,
            within=tuple(map(label_of, common)),
            minus=tuple(map(label_of, taken)),
            salt=salt_of(base.ledger, "", names) if hides(base.ledger) else None,
        )


def prompts_needed(
    checkpoint: Checkpoint,
    concepts: Part | Sequence[Part],
    *,
    embeddings: str | Path | None = None,
    **options: Any,
) -> list[str]:
    """The prompts that the same `project` would look for in a file of embeddings, and not find."""
    family = detect(checkpoint)
    return wanted_prompts(
        family.text_width,
        list(lexicon_of(family)),
        embeddings,
        lambda table: project(checkpoint, concepts, embeddings=table, **options),
    )


def strongest_first(basis: Tensor, rows: Tensor) -> tuple[Tensor, list[float]]:
    """Turns a basis [r, d] so that its directions are the principal ones of rows [m, d].

    returns: the basis, and the share of the rows' squared norm along each direction, falling
    """
    inside = rows.double() @ basis.double().mT  # [m, r]
    shares, turn = torch.linalg.eigh(inside.mT @ inside)
    turned = (turn.flip(1).mT @ basis.double()).float()
    total = float(rows.double().square().sum())
    return turned, [max(float(share), 0.0) / total for share in shares.flip(0)]


def candidates(
    spans: Spans, among: str | Sequence[str], track: Track
) -> tuple[Sequence[str], Embed]:
    """The names that neighbours are looked for among, and what embeds them."""
    encoder = spans.encoder
    if among == LEXICON:
        return readable(encoder, lexicon_of(spans.family)), concept_embeddings
    if among != VOCABULARY:
        if isinstance(among, str):
            raise BadParam(f"among must be {LEXICON}, {VOCABULARY} or a list, not {among!r}")
        return among, concept_embeddings
    words = whole_words(encoder)
    ends = word_embeddings(encoder, words, track=track)[:, 1]
    row = {word: i for i, word in enumerate(words)}

    def known(_: TextEncoder, names: Sequence[str]) -> Tensor:
        return ends[[row[name] for name in names]].to(encoder.device)

    return words, known


def nearby(spans: Spans, basis: Tensor, neighbor: Neighbor) -> Nearby:
    """Holds a neighbour's own subspace, made in the same way, against a basis."""
    rows, own = spans.rows([neighbor.concept]), spans.basis([neighbor.concept])
    angle, shared = angles_between(basis, own)[0], coverage(rows, basis)
    return Nearby(neighbor.concept, neighbor.cosine, angle, shared)


def names_of(part: str | Checkpoint) -> tuple[str, ...]:
    return (part,) if isinstance(part, str) else concepts_of(part)


def save_subspace(subspace: Subspace, target: str | Path, *, force: bool = False) -> Written:
    """Writes a subspace as safetensors: the tensor "basis", and what it is of in the metadata."""
    basis = subspace.basis.contiguous()
    names = {
        "concepts": subspace.concepts,
        "within": subspace.within,
        "minus": subspace.minus,
        "neighbors": [neighbor.concept for neighbor in subspace.neighbors],
    }
    facts = {
        "tokens": subspace.tokens,
        "center": subspace.center,
        "family": subspace.family,
    } | {key: [_said(name, subspace.salt) for name in each] for key, each in names.items()}
    spec = Spec(TENSOR, "F32", tuple(basis.shape))
    metadata = {FACTS: json.dumps(facts, ensure_ascii=False)}
    return write(target, [spec], [basis.numpy()], metadata, force=force)


def _said(name: str, salt: str | None) -> str:
    return name if salt is None else hidden(name, salt)
