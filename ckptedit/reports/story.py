"""What a report tells of: a run of `continual`, or one edited checkpoint; read without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ckptedit.concepts.private import hides
from ckptedit.concepts.targets import erased
from ckptedit.continual.journal import RESULTS, SETTINGS, read_lines
from ckptedit.errors import BadParam, CkptError, Incompatible
from ckptedit.files import Checkpoint, escape
from ckptedit.files.bounded import read_json
from ckptedit.reports.lines import Met, met


@dataclass(frozen=True)
class Story:
    """A run, or an edit, which is a run without lines.

    name:     of the folder or file; base_name: of what was edited
    base:     None where it is not at hand
    files:    the checkpoints that are still there, by their requests; an edit is its own request 1
    lines:    of requests, in order; that of the base before them if it was scored
    settings: of run.json; empty for an edit
    """

    name: str
    base_name: str
    base: Checkpoint | None
    base_sha256: str | None
    files: Mapping[int, Checkpoint]
    lines: tuple[Met, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def result(self) -> Checkpoint | None:
        """The newest checkpoint; None where it is gone, or there never was one."""
        number = self.newest.number if self.newest else max(self.files, default=0)
        return self.files.get(number)

    @property
    def gone(self) -> str:
        """The newest checkpoint's name, where it is not in the folder any more; else ""."""
        return str(self.newest.output) if self.newest and not self.result else ""

    @property
    def newest(self) -> Met | None:
        """The line of the newest checkpoint; None for an edit, and where nothing was written."""
        return next((line for line in reversed(self.lines) if line.output), None)

    @property
    def stopped(self) -> Met | None:
        """The line of the request that a drift budget stopped the run at."""
        return next((line for line in reversed(self.lines) if line.budget == "stopped"), None)

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return self.result.ledger if self.result else []

    @property
    def hidden(self) -> bool:
        """Whether names must not be told: a ledger keeps them as salted hashes."""
        return any(hides(each.ledger) for each in self.files.values())

    @property
    def erased(self) -> tuple[str, ...]:
        """What is asked for and gone; of an edit what its ledger says, hashes where it hides."""
        if self.newest:
            return self.newest.erased
        return tuple(target.concept for target in erased(self.ledger))

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """What was taken back, and is not asked for again."""
        names = dict.fromkeys(name for line in self.lines for name in line.withdrawn)
        return tuple(name for name in names if name not in self.erased)


def read_story(what: str | Path | Checkpoint, against: str | Path | Checkpoint | None) -> Story:
    """Reads the folder of a run, or an edited checkpoint.

    against: the checkpoint before it; of a run by default what lies under its name beside the
             folder or in the working folder, if it is the very one
    Raises BadParam and BadCheckpoint for what is malformed or missing, Incompatible if `against`
    is another checkpoint than the run began from.
    """
    if isinstance(what, Checkpoint) or not (Path(what) / SETTINGS).is_file():
        return _of_edit(what, against)
    folder, label = Path(what), escape(what)
    settings = read_json(folder / SETTINGS)
    base = settings.get("base")
    if not isinstance(base, dict) or not all(
        isinstance(base.get(k), str) for k in ("label", "sha256")
    ):
        raise BadParam(f"{label}/{SETTINGS} does not say what the run began from")
    rows = enumerate(read_lines(folder), start=1)
    lines = tuple(met(line, f"{label}/{RESULTS}: line {n}") for n, line in rows)
    files = {line.number: _opened(folder, line) for line in lines if _is_there(folder, line)}
    opened = _given(against, base) if against is not None else _found(folder, base)
    name = folder.resolve().name
    return Story(name, Path(base["label"]).name, opened, base["sha256"], files, lines, settings)


def _of_edit(what: str | Path | Checkpoint, against: str | Path | Checkpoint | None) -> Story:
    try:
        edited = what if isinstance(what, Checkpoint) else Checkpoint(what)
    except CkptError as error:
        if Path(str(what)).is_dir():
            raise BadParam(
                f"{escape(what)} is neither the folder of a run nor a checkpoint"
            ) from error
        raise
    if against is None:
        raise BadParam(
            f"{edited.label} does not say where the checkpoint before it is; name it with --against"
        )
    base = against if isinstance(against, Checkpoint) else Checkpoint(against)
    if base.data_sha256() == edited.data_sha256():
        raise BadParam(f"{edited.label} and {base.label} hold the same weights: nothing was edited")
    name, base_name = (Path(each.label).name for each in (edited, base))
    return Story(name, base_name, base, base.data_sha256(), {1: edited})


def _is_there(folder: Path, line: Met) -> bool:
    return line.output is not None and (folder / line.output).exists()


def _opened(folder: Path, line: Met) -> Checkpoint:
    """The checkpoint of a line. Raises Incompatible if it is not what the request wrote."""
    found = Checkpoint(folder / str(line.output))
    if found.data_sha256() != line.sha256:
        raise Incompatible(
            f"{found.label} is not what request {line.number} wrote: it has another digest"
        )
    return found


def _given(against: str | Path | Checkpoint, base: Mapping[str, str]) -> Checkpoint:
    found = against if isinstance(against, Checkpoint) else Checkpoint(against)
    if found.data_sha256() != base["sha256"]:
        raise Incompatible(
            f"{found.label} is not what the run began from: its digest is "
            f"{found.data_sha256()[:16]}…, not {escape(base['sha256'][:16])}…"
        )
    return found


def _found(folder: Path, base: Mapping[str, str]) -> Checkpoint | None:
    name = Path(base["label"]).name
    for path in (Path(name), folder.resolve().parent / name) if name else ():
        if path.exists():
            try:
                found = Checkpoint(path)
                if found.data_sha256() == base["sha256"]:
                    return found
            except CkptError:
                continue
    return None
