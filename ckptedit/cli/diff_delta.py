"""The delta that `ckptedit diff -o` writes."""

from collections.abc import Sequence
from dataclasses import dataclass

from ckptedit.cli.output import say, tracker
from ckptedit.errors import BadParam

STDOUT = "-"


@dataclass(frozen=True)
class DeltaFile:
    """What was asked for. target None: nothing."""

    target: str | None
    exact: bool
    force: bool
    quiet: bool

    def check(self, inputs: Sequence[str], *, json: bool, keys: Sequence[str]) -> None:
        """Raises BadParam if the options contradict each other, OutputExists if it is there."""
        if self.exact and not self.target:
            raise BadParam("--exact is for the delta that -o writes")
        if self.target and keys:
            raise BadParam("-o writes all that differs; it does not go with --keys")
        if self.to_stdout and json:
            raise BadParam("--json and -o - both want stdout")
        if self.target and "-" in inputs:
            raise BadParam("-o reads both checkpoints again, which stdin does not allow")
        if self.target:
            from ckptedit.files import check_output

            check_output(self.target, force=self.force, in_place=False)

    @property
    def to_stdout(self) -> bool:
        return self.target == STDOUT

    def write(self, old: str, new: str) -> None:
        """Writes it, and says what of it is not exact."""
        if self.target is None:
            return
        from ckptedit.deltas import Making, write_delta
        from ckptedit.files import Checkpoint

        with Checkpoint(old) as before, Checkpoint(new) as after:
            made = write_delta(
                before, after, self.target,
                how=Making(exact=self.exact), force=self.force, track=tracker(self.quiet),
            )  # fmt: skip
        for (count, worst), what in ((made.off, "applying it"), (made.back, "taking it out")):
            if count and not self.quiet:
                say(f"note: {what} leaves {count} values off by {worst:.2g} at most; "
                    "--exact costs space and leaves none")  # fmt: skip
