"""What a method of erasing is: a request and the K/V weights in, an edit of them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from ckptedit.concepts.request import Request
from ckptedit.deltas.change import Dense, LowRank
from ckptedit.diffusion import Model
from ckptedit.subspaces.words import Words

Edits = Mapping[str, LowRank | Dense]  # name -> the change of that tensor, edited less base


@dataclass(frozen=True)
class Solution:
    """What a method found.

    edits:      of the weights, unrounded
    directions: Q [d, k] that they were confined to, if any
    facts:      figures of the method's own, what -> target -> name -> number, for the report
    erases:     whether the targets are gone, and later edits must keep them so
    warnings:   what is likely to disappoint the user, a sentence each
    notes:      what else the user may want to know, a sentence each
    """

    edits: Edits
    directions: Tensor | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    erases: bool = True
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Method:
    """A way to erase. Its hyperparameters are those of its constructor.

    needs_model: whether `solve` trains on the model; a closed form needs the text encoder only, and
                 then no UNet is loaded
    roles:       of the weights that it can edit, "kv", "k", "v", the default first
    asks:        what it reads that is dear, "general" of `words`, or "slots", the vocabulary in one
                 sentence for each kind of target and the lexicon: for plans of the work
    """

    needs_model: ClassVar[bool] = False
    roles: ClassVar[tuple[str, ...]] = ("kv", "k", "v")
    asks: ClassVar[tuple[str, ...]] = ()

    def solve(
        self,
        request: Request,
        words: Words,
        weights: Mapping[str, Tensor],
        *,
        model: Model | None = None,
    ) -> Solution:
        """Computes the edit.

        weights: those of the roles to edit, name -> W [out, d] float32, read when asked for
        model:   given if `needs_model`
        """
        raise NotImplementedError
