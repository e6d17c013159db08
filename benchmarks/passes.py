"""The compiled passes over one stretch of entries, against numpy, which gives the same bits."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

COUNT = 1 << 18  # entries: a stretch of a merge
REPEATS = 50


def passes(data: Path, runs: int, subset: bool) -> Iterator[str]:
    """Nanoseconds per entry, medians of the runs; nothing is read from the disk."""
    import numpy as np

    from ckptedit.files import decode_into, dtypes, encode
    from ckptedit.files.dtypes import encode_into
    from ckptedit.merging.arrays import ArrayStack
    from ckptedit.merging.methods import ties_agreement as agreement
    from ckptedit.merging.methods.ties import ties
    from ckptedit.merging.stack import Stretch

    rng = np.random.default_rng(0)
    values = rng.standard_normal(COUNT).astype(np.float32) * np.float32(0.02)
    deltas = rng.standard_normal((3, COUNT)).astype(np.float32) * np.float32(5e-4)
    kernel, stretch = ties(ArrayStack(deltas)), Stretch(0, values, deltas)
    work: dict[str, tuple[object, Callable[[], object]]] = {}
    for dtype in ("F16", "BF16"):
        raw, out = encode(values, dtype, name="w"), np.empty_like(values)
        work[f"decode {dtype}"] = dtypes, lambda d=dtype, r=raw, o=out: decode_into(r, d, o)
        work[f"encode {dtype}"] = dtypes, lambda d=dtype, r=raw: encode_into(values, d, r, name="w")
    work["ties: trim, vote and mean of 3"] = agreement, lambda: kernel(stretch)
    for name, (module, run) in work.items():
        compiled, built = per_entry(run, runs), module.COMPILED
        module.COMPILED = type(built)()
        yield f"{name:<44} {compiled:7.3f} ns  numpy {per_entry(run, runs):7.3f} ns"
        module.COMPILED = built


def per_entry(run: Callable[[], object], runs: int) -> float:
    """Nanoseconds per entry, the median of several runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(REPEATS):
            run()
        times.append(time.perf_counter() - start)
    return median(times) / REPEATS / COUNT * 1e9
