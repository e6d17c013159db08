"""Subspaces of text embeddings: what may not move, where an edit is written, and their angles.

The names below are imported on first use: what only looks at the header of a basis needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckptedit.subspaces.basis import Basis, read_basis, require_basis
    from ckptedit.subspaces.project import Nearby, Subspace, save_subspace
    from ckptedit.subspaces.sets import difference, intersection, union
    from ckptedit.subspaces.span import Cut
    from ckptedit.subspaces.subspace import (
        SoftDirections,
        angles_between,
        coverage,
        protected_basis,
        second_moment,
        soft_directions,
    )
    from ckptedit.subspaces.vocabulary import vocabulary_moment

MODULES = {
    "basis": ("Basis", "read_basis", "require_basis"),
    "project": ("Nearby", "Subspace", "save_subspace"),
    "sets": ("difference", "intersection", "union"),
    "span": ("Cut",),
    "subspace": (
        "SoftDirections", "angles_between", "coverage", "protected_basis", "second_moment",
        "soft_directions",
    ),
    "vocabulary": ("vocabulary_moment",),
}  # fmt: skip

__all__ = [
    "Basis",
    "Cut",
    "Nearby",
    "SoftDirections",
    "Subspace",
    "angles_between",
    "coverage",
    "difference",
    "intersection",
    "protected_basis",
    "read_basis",
    "require_basis",
    "save_subspace",
    "second_moment",
    "soft_directions",
    "union",
    "vocabulary_moment",
]


def __getattr__(name: str) -> Any:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
