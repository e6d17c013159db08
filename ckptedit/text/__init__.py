"""Words to vectors: tokenizer, encoder, sentence frames, a lexicon, and subspaces of embeddings."""

from ckptedit.text.encoder import Encoded, TextEncoder, load_text_encoder
from ckptedit.text.lexicon import lexicon
from ckptedit.text.neighbors import (
    Neighbor,
    concept_embeddings,
    cosine_matrix,
    nearest,
    same_concept,
)
from ckptedit.text.project import (
    Cut,
    Subspace,
    angles_between,
    concept_subspace,
    project,
    read_basis,
    save_subspace,
)
from ckptedit.text.subspace import (
    SoftDirections,
    coverage,
    principal_angles,
    project_out,
    protected_basis,
    second_moment,
    soft_directions,
)
from ckptedit.text.templates import (
    ANCHORS,
    HELD_OUT_FRAMES,
    KINDS,
    TRAIN_FRAMES,
    anchor_for,
    fill,
    prompts_for,
)
from ckptedit.text.tokens import token_embeddings
from ckptedit.text.vocabulary import vocabulary_moment

__all__ = [
    "ANCHORS",
    "HELD_OUT_FRAMES",
    "KINDS",
    "TRAIN_FRAMES",
    "Cut",
    "Encoded",
    "Neighbor",
    "SoftDirections",
    "Subspace",
    "TextEncoder",
    "anchor_for",
    "angles_between",
    "concept_embeddings",
    "concept_subspace",
    "cosine_matrix",
    "coverage",
    "fill",
    "lexicon",
    "load_text_encoder",
    "nearest",
    "principal_angles",
    "project",
    "project_out",
    "prompts_for",
    "protected_basis",
    "read_basis",
    "same_concept",
    "save_subspace",
    "second_moment",
    "soft_directions",
    "token_embeddings",
    "vocabulary_moment",
]
