"""Many small tensors: what each of them costs, whatever its size."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.timing import CKPTEDIT, Bar, Timing, apart, compete

MANY, FEW = 100_000, 25_000  # tensors of [8, 8] in F16


def many(data: Path, runs: int, subset: bool) -> Iterator[Timing | Bar]:
    """`info`, `diff` and `merge` of two files; subset changes nothing, the files have 22 MB."""
    paths = {count: [str(data / f"many-{count}-{k}.safetensors") for k in (0, 1)]
             for count in (FEW, MANY)}  # fmt: skip
    for count, files in paths.items():
        apart("benchmarks.many:make", files, count)
    out = str(data / "many-out.safetensors")
    ties = ("merge", "--method", "ties", "-o", out, "--force", "-q")
    commands = {
        f"info, {MANY} tensors": (*CKPTEDIT, "info", paths[MANY][0], "-q"),
        f"diff, {MANY} tensors": (*CKPTEDIT, "diff", *paths[MANY], "-q"),
        f"merge --method ties, {FEW} tensors": (*CKPTEDIT, *ties, *paths[FEW]),
        f"merge --method ties, {MANY} tensors": (*CKPTEDIT, *ties, *paths[MANY]),
    }
    times = compete(commands, runs, status=(0, 1))
    Path(out).unlink()
    yield from times.values()
    info, differ, few, all_ = times.values()
    yield Bar("info, seconds", info.wall, 3)
    yield Bar("diff, seconds", differ.wall, 6)
    yield Bar("merge: cost of a tensor, of many to few", all_.cpu / few.cpu * FEW / MANY, 1.2)


def make(paths: list[str], count: int) -> None:
    """Writes them, unless they are there: N(0, 1), each with a seed of its own."""
    from ckptedit.files import Spec, write

    specs = [Spec(f"layers.{i // 10}.part{i % 10}.weight", "F16", (8, 8)) for i in range(count)]
    for seed, path in enumerate(paths):
        if not Path(path).exists():
            rng = np.random.default_rng(seed)
            write(path, specs, (rng.standard_normal((8, 8)).astype(np.float16) for _ in specs), {})
