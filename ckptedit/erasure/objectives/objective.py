"""What a trained erasure asks of the model: one file per objective."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from torch import Generator, Tensor

from ckptedit.guards.guard import Setting, Stage


class Rule(Protocol):
    """How the gradients of named terms are combined: by one coefficient for each."""

    def __call__(self, names: Sequence[str], products: Tensor) -> Sequence[float]:
        """products: [n, n] float64 on the CPU, inner products of the n gradients, confined and
        masked as the step will be"""


class Objective(Stage):
    """Terms that training makes small. Its hyperparameters are those of its constructor.

    An objective may keep state (masks, critics, multipliers) in itself; what must survive an
    interruption is in `state`.

    roles: what it can edit, as `Method.roles`
    rule:  how its terms' gradients are combined; None: they are added up
    """

    roles: ClassVar[tuple[str, ...]] = ("kv", "k", "v")
    rule: Rule | None = None

    def start(self, setting: Setting) -> None:
        """Called once before the loop; asks `setting` for the moments that it needs."""
        raise NotImplementedError

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        """The terms of one step, as (name, scalar), on a batch drawn with the generator.

        The loop goes backward through each before it asks for the next, so that only one graph is
        in memory at a time.
        """
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """What it has to say of the targets at the end, as `Solution.facts`."""
        return {}
