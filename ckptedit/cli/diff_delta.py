"""The delta that `ckptedit diff -o` writes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptedit.cli.output import say_notes
from ckptedit.cli.progress import progress
from ckptedit.errors import BadParam, CkptError

if TYPE_CHECKING:
    from ckptedit.deltas import Made
    from ckptedit.drift import Judgement
    from ckptedit.files import Checkpoint

STDOUT = "-"


@dataclass(frozen=True)
class DeltaFile:
    """What was asked for. target None: nothing; keys, ignore: as `write_delta` has them."""

    target: str | None
    exact: bool
    keys: Sequence[str]
    ignore: Sequence[str]
    force: bool
    quiet: bool

    def check(self, *, json: bool) -> None:
        """Raises BadParam if the options contradict each other."""
        if self.exact and not self.target:
            raise BadParam("--exact is for the delta that -o writes")
        if self.target == STDOUT and json:
            raise BadParam("--json and -o - both want stdout")

    def check_target(self, old: "Checkpoint", new: "Checkpoint") -> None:
        """Raises OutputExists or WriteFailed, before any work, if it may not be written there."""
        from ckptedit.files import check_output

        if self.target is not None:
            check_output(self.target, [old, new], force=self.force)

    @contextmanager
    def written(self, old: "Checkpoint", new: "Checkpoint") -> "Iterator[Made | None]":
        """Writes it, and yields what was written, or None; the body says what was found.

        Raises what `write_delta` raises, but after the body: an answer is not lost with a file.
        """
        if self.target is None:
            yield None
            return
        from ckptedit.deltas import write_delta

        try:
            with progress(self.quiet) as track:
                made = write_delta(
                    old, new, self.target, exact=self.exact, keys=self.keys, ignore=self.ignore,
                    force=self.force, track=track,
                )  # fmt: skip
        except CkptError as error:
            yield None
            raise error
        yield made
        say_notes(errors(made), self.quiet)

    def status(self, judgement: "Judgement") -> int:
        """0 where all is as it was asked: a delta is written of checkpoints that differ.

        Limits are kept or exceeded all the same, and NaN and Inf are never in order.
        """
        failed = [outcome for outcome in judgement.outcomes if not outcome.passed]
        if self.target is not None and judgement.word == "differs":
            failed = [outcome for outcome in failed if "NaN" in outcome.rule]
        return 1 if failed else 0


def errors(made: "Made") -> Iterator[str]:
    """What of a delta is not exact."""
    from ckptedit.deltas.fit import how_far

    for error, what in ((made.off, "applying it to OLD is not NEW"),
                        (made.back, "taking it out again is not OLD")):  # fmt: skip
        if error[0]:
            yield f"{what} to the bit: {how_far(*error)}; --exact makes it so"
