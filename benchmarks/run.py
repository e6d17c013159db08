"""Times commands against their peers on synthetic checkpoints: `python benchmarks/run.py diff`.

Prints wall time, processor time and peak memory, medians of several runs, and the ratios that are
asked of the tool. The files go to a cache folder and stay there for the next time.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ckptedit.registry import Registry

BENCHMARKS = Registry(
    "benchmark",
    {
        "diff": "benchmarks.diff:diff",
        "merge": "benchmarks.merge:merge",
        "apply": "benchmarks.apply:apply",
        "passes": "benchmarks.passes:passes",
        "steps": "benchmarks.steps:steps",
        "many": "benchmarks.many:many",
        "closed": "benchmarks.closed:closed",
        "fullsize": "benchmarks.fullsize:fullsize",
        "whole": "benchmarks.whole:whole",
        "training": "benchmarks.training:training",
    },
)

USUAL = [name for name in BENCHMARKS if name != "fullsize"]  # which takes 10 GB of disk, and long


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", default=USUAL, metavar="NAME")
    options.add_argument("--runs", type=int, default=3, help="of each command (default 3)")
    options.add_argument("--subset", action="store_true", help="a fifth of the size")
    options.add_argument("--device", default="cpu", help="of fullsize: cpu, cuda (default cpu)")
    options.add_argument("--data", type=Path, help="folder for the checkpoints")
    chosen = options.parse_args()
    folder = "ckptedit-bench-small" if chosen.subset else "ckptedit-bench"
    data = chosen.data or Path(tempfile.gettempdir()) / folder
    data.mkdir(parents=True, exist_ok=True)
    for name in chosen.names:
        load = os.getloadavg()[0]
        print(f"{name}: {os.cpu_count()} cores, load {load:.1f}, medians of {chosen.runs} runs")
        print(f"{'':<44} {'wall':>10} {'cpu':>10} {'peak':>12}")
        where = {"device": chosen.device} if name == "fullsize" else {}
        for line in BENCHMARKS[name](data, chosen.runs, chosen.subset, **where):
            print(line)


if __name__ == "__main__":
    main()
