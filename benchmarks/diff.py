"""`ckptedit diff` against the naive torch script, and against `cmp` where nothing differs."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import CKPTEDIT, ROOT, Bar, Timing, apart, compete

NAIVE = ROOT / "benchmarks" / "peers" / "naive_diff.py"


def diff(data: Path, runs: int, subset: bool) -> Iterator[Timing | Bar]:
    """data: the folder for the files; subset: a fifth of the size, for a busy machine."""
    base, tuned, copy = (data / f"{name}.safetensors" for name in ("base", "tuned1", "copy"))
    apart("benchmarks.diff:make", base, tuned, subset)
    shutil.copyfile(base, copy)
    ours = (*CKPTEDIT, "diff", "-q")
    times = compete(
        {
            "naive torch, all tensors differ": (sys.executable, str(NAIVE), str(base), str(tuned)),
            "ckptedit diff, all tensors differ": (*ours, str(base), str(tuned)),
            "  with one thread": (*ours, str(base), str(tuned), "--threads", "1"),
            "cmp, identical files": ("cmp", str(base), str(copy)),
            "ckptedit diff, identical files": (*ours, str(base), str(copy)),
            "ckptedit diff --help": (*CKPTEDIT, "diff", "--help"),
        },
        runs,
    )
    copy.unlink()
    yield from times.values()
    naive, differ, _, cmp, same, help_ = times.values()
    yield Bar("wall time, to naive torch", differ.wall / naive.wall, 1 / 8)
    yield Bar("peak memory in MB", differ.peak, 100)
    yield Bar("wall time on identical files, to cmp", same.wall / cmp.wall, 1)
    yield Bar("seconds to --help", help_.wall, 0.4)


def make(base: Path, tuned: Path, subset: bool) -> None:
    """Writes the two checkpoints, unless they are there."""
    from benchmarks.sd1 import sd1, small, synthesize

    shapes = small() if subset else sd1()
    synthesize(base, shapes)
    synthesize(tuned, shapes, tune=1)
