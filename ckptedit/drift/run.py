"""The whole of `ckptedit diff`, as a function."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ckptedit.drift.compare import compare, compared
from ckptedit.drift.gates import Judgement, Rules, judge, require_matches
from ckptedit.drift.report import Report
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint, require_weights
from ckptedit.progress import Track, silent


@contextmanager
def opened(*paths: str | Path | Checkpoint) -> Iterator[list[Checkpoint]]:
    """Yields checkpoints, and closes those that were given as paths."""
    if [str(path) for path in paths].count("-") > 1:
        raise BadParam("only one of the two checkpoints can be read from stdin")
    with ExitStack() as stack:
        yield [
            path if isinstance(path, Checkpoint) else stack.enter_context(Checkpoint(path))
            for path in paths
        ]


def diff(
    old: str | Path | Checkpoint,
    new: str | Path | Checkpoint,
    *,
    rules: Rules | None = None,
    spectral: bool = False,
    threads: int = 2,
    track: Track = silent,
) -> tuple[Report, Judgement]:
    """Compares two checkpoints and holds what it found against rules.

    old, new: files, indexes of shards or folders, of which one may be `-`, for stdin; or
              checkpoints that are open, and stay so
    rules: what may differ; nothing, if there are none
    spectral: whether to measure the ranks of what changed, which takes longer
    Raises BadCheckpoint, BadParam or UnknownName, before reading any tensor if it can be known.
    """
    rules = rules or Rules()
    with opened(old, new) as (before, after):
        require_matches(rules, compared(before, after, rules.keys))
        report = compare(before, after, keys=rules.keys, threads=threads, track=track)
        if not report.equal:  # of codes only this can be told
            require_weights(before, after)
        if spectral:
            from ckptedit.drift.spectra import with_spectra

            report = with_spectra(report, before, after, track=track)
    return report, judge(report, rules)
