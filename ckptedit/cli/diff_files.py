"""The reports that `ckptedit diff` writes to files, in one pass with what it prints."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ckptedit.cli.output import write_report
from ckptedit.errors import BadParam

if TYPE_CHECKING:
    from ckptedit.drift import Drift
    from ckptedit.files import Checkpoint


@dataclass(frozen=True)
class ReportFiles:
    """What was asked for. None: not that one."""

    markdown: Path | None
    junit: Path | None
    plot: Path | None
    force: bool

    def check(self, delta: str | None) -> None:
        """Raises BadParam if two of them, or one and the delta, would go to one file.

        And OutputExists or WriteFailed if one may not be written; before anything is opened.
        """
        from ckptedit.files import check_output

        taken = [path.resolve() for path in self._paths()]
        taken += [Path(delta).resolve()] if delta not in (None, "-") else []
        if len(set(taken)) < len(taken):
            raise BadParam("two of the files to be written have the same name")
        for path in self._paths():
            check_output(path, force=self.force, report=True)

    def check_inputs(self, old: "Checkpoint", new: "Checkpoint") -> None:
        """Raises OutputExists if one would replace what is compared, whatever --force says."""
        from ckptedit.files import check_output

        for path in self._paths():
            check_output(path, [old, new], force=self.force, report=True)

    def write(self, drift: "Drift") -> None:
        """Writes them."""
        if self.markdown:
            from ckptedit.drift.markdown import as_markdown

            text = as_markdown(drift)
            write_report(self.markdown, text.encode(), force=self.force)
        if self.junit:
            from ckptedit.drift.junit import as_junit

            text = as_junit(drift.comparison, drift.judgement)
            write_report(self.junit, text.encode(), force=self.force)
        if self.plot:
            from ckptedit.drift.plot import as_png

            write_report(self.plot, as_png(drift.comparison), force=self.force)

    def _paths(self) -> Iterator[Path]:
        yield from filter(None, (self.markdown, self.junit, self.plot))
