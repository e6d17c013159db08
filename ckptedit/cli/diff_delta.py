"""The delta that `ckptedit diff -o` writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptedit.cli.output import say, tracker
from ckptedit.errors import BadParam

if TYPE_CHECKING:
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
            check_output(self.target, [old, new], force=self.force, in_place=False)

    @property
    def to_stdout(self) -> bool:
        return self.target == STDOUT

    def write(self, old: "Checkpoint", new: "Checkpoint") -> None:
        """Writes it, and says what of it is not exact."""
        if self.target is None:
            return
        from ckptedit.deltas import Making, write_delta
        from ckptedit.deltas.fit import how_far

        made = write_delta(
            old, new, self.target,
            how=Making(exact=self.exact), force=self.force, track=tracker(self.quiet),
        )  # fmt: skip
        for error, what in ((made.off, "applying it to OLD is not NEW"),
                            (made.back, "taking it out again is not OLD")):  # fmt: skip
            if error[0] and not self.quiet:
                say(f"note: {what} to the bit: {how_far(*error)}; --exact makes it so")
