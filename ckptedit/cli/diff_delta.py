"""The delta that `ckptedit diff -o` writes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ckptedit.cli.output import say, tracker
from ckptedit.errors import BadParam, CkptError

if TYPE_CHECKING:
    from ckptedit.deltas import Made
    from ckptedit.files import Checkpoint

STDOUT = "-"


@dataclass(frozen=True)
class DeltaFile:
    """What was asked for. target None: nothing."""

    target: str | None
    exact: bool
    force: bool
    quiet: bool

    def check(self, *, json: bool, keys: Sequence[str]) -> None:
        """Raises BadParam if the options contradict each other."""
        if self.exact and not self.target:
            raise BadParam("--exact is for the delta that -o writes")
        if self.target and keys:
            raise BadParam("-o writes all that differs; it does not go with --keys")
        if self.to_stdout and json:
            raise BadParam("--json and -o - both want stdout")

    def check_target(self, old: "Checkpoint", new: "Checkpoint") -> None:
        """Raises OutputExists or WriteFailed, before any work, if it may not be written there."""
        from ckptedit.files import check_output

        if self.target is not None:
            check_output(self.target, [old, new], force=self.force)

    @property
    def to_stdout(self) -> bool:
        return self.target == STDOUT

    @contextmanager
    def written(self, old: "Checkpoint", new: "Checkpoint") -> "Iterator[dict[str, Any] | None]":
        """Writes it, and yields its figures, or None; the body says what the comparison found.

        Raises what `write_delta` raises, but after the body: an answer is not lost with a file.
        """
        if self.target is None:
            yield None
            return
        from ckptedit.deltas import Making, write_delta

        how = Making(exact=self.exact)
        try:
            made = write_delta(
                old, new, self.target, how=how, force=self.force, track=tracker(self.quiet)
            )
        except CkptError as error:
            yield None
            raise error
        yield as_report(made)
        if not self.quiet:
            say_errors(made)


def as_report(made: "Made") -> dict[str, Any]:
    """The figures of a delta under their stable names."""
    ways = {"off": made.off, "back": made.back}
    return {
        "output": str(made.path),
        "sha256": made.sha256,
        "result_sha256": made.result_sha256,
        "tensors": made.forms,
        "exact": not made.off[0] and not made.back[0],
        **{way: {"values": count, "worst": worst} for way, (count, worst) in ways.items()},
    }


def say_errors(made: "Made") -> None:
    """Says what of a delta is not exact."""
    from ckptedit.deltas.fit import how_far

    for error, what in ((made.off, "applying it to OLD is not NEW"),
                        (made.back, "taking it out again is not OLD")):  # fmt: skip
        if error[0]:
            say(f"note: {what} to the bit: {how_far(*error)}; --exact makes it so")
