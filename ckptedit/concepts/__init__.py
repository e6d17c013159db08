"""What is asked for: concepts, their kinds and neighbours, the sentences that hold them."""

from ckptedit.concepts.lexicon import lexicon
from ckptedit.concepts.neighbors import (
    Neighbor,
    concept_embeddings,
    cosine_matrix,
    nearest,
    same_concept,
)
from ckptedit.concepts.templates import (
    ANCHORS,
    HELD_OUT_FRAMES,
    KINDS,
    TRAIN_FRAMES,
    anchor_for,
    fill,
    prompts_for,
)

__all__ = [
    "ANCHORS",
    "HELD_OUT_FRAMES",
    "KINDS",
    "TRAIN_FRAMES",
    "Neighbor",
    "anchor_for",
    "concept_embeddings",
    "cosine_matrix",
    "fill",
    "lexicon",
    "nearest",
    "prompts_for",
    "same_concept",
]
