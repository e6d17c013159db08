"""Where the time of a TIES merge goes: timers around its steps, in one thread."""

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.timing import apart

STEPS = {  # what is timed -> what it is, indented below what it is a part of
    "checkpoint.Checkpoint.data_sha256": "digests of base and edits",
    "stream.Stream._prepare": "rank",
    "ranks.cut_at": "  of it: the k-th largest",
    "stream.Stream._run": "merge",
    "ties_agreement.Agreement.merge": "  of it: trim, vote, mean",
    "stream.inner_products": "  of it: norms and cosines",
    "stream.encode_into": "  of it: encode",
    "publish.NewFile.write": "write",
    "publish.NewFile.seal": "reach the disk",
}


def steps(data: Path, runs: int, subset: bool) -> Iterator[str]:
    """Nanoseconds per entry of the output, of one merge; runs does not count."""
    from ckptedit.files import Checkpoint
    from ckptedit.merging import merge

    inputs = [data / f"{name}.safetensors" for name in ("base", "tuned1", "tuned2", "tuned3")]
    apart("benchmarks.merge:make", inputs, subset)
    spent: dict[str, float] = defaultdict(float)
    for name, title in STEPS.items():
        time_it(name, title, spent)
    out = data / "steps.safetensors"
    merge(inputs[0], inputs[1:], out, force=True, threads=1)
    with Checkpoint(out) as written:
        entries = sum(written[name].numel for name in written)
    out.unlink()
    yield from (f"{title:<44} {spent[title] / entries * 1e9:7.2f} ns" for title in STEPS.values())


def time_it(name: str, title: str, spent: dict[str, float]) -> None:
    """Puts a timer around a function or method: "module.function", "module.Class.method"."""
    from ckptedit.files import checkpoint, publish
    from ckptedit.merging import stream
    from ckptedit.merging.arithmetic import ranks
    from ckptedit.merging.methods import ties_agreement

    modules = {
        m.__name__.rpartition(".")[2]: m
        for m in (checkpoint, publish, ties_agreement, ranks, stream)
    }
    first, *path, last = name.split(".")
    owner: Any = modules[first]
    for part in path:
        owner = getattr(owner, part)
    inner = getattr(owner, last)

    def timed(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return inner(*args, **options)
        finally:
            spent[title] += time.perf_counter() - start

    setattr(owner, last, timed)
