"""What a trained erasure asks of the model: one file per objective."""

from collections.abc import Iterator

from torch import Generator, Tensor

from ckptedit.guards.guard import Setting, Stage


class Objective(Stage):
    """A sum of terms that training makes small. Its hyperparameters are those of its constructor.

    An objective may keep state (masks, critics, multipliers) in itself; what must survive an
    interruption is in `state`.
    """

    def start(self, setting: Setting) -> None:
        """Called once before the loop; asks `setting` for the moments that it needs."""
        raise NotImplementedError

    def terms(self, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        """The terms of one step, as (name, scalar), on a batch drawn with the generator.

        The loop goes backward through each before it asks for the next, so that only one graph is
        in memory at a time.
        """
        raise NotImplementedError
