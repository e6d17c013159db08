"""Subspaces of text embeddings: what may not move, where an edit is written, and their angles."""

from ckptedit.subspaces.project import (
    Cut,
    Subspace,
    angles_between,
    concept_subspace,
    project,
    read_basis,
    save_subspace,
)
from ckptedit.subspaces.subspace import (
    SoftDirections,
    coverage,
    principal_angles,
    protected_basis,
    second_moment,
    soft_directions,
)
from ckptedit.subspaces.vocabulary import vocabulary_moment

__all__ = [
    "Cut",
    "SoftDirections",
    "Subspace",
    "angles_between",
    "concept_subspace",
    "coverage",
    "principal_angles",
    "project",
    "protected_basis",
    "read_basis",
    "save_subspace",
    "second_moment",
    "soft_directions",
    "vocabulary_moment",
]
