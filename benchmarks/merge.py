"""`ckptedit merge --method ties` against mergekit, sd-mecha and the naive torch script.

The peers run where they are installed (pip install '.[peers]'), or in another Python that
CKPTEDIT_PEERS names. Every side merges base and three fine-tunes, density 0.2.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.timing import CKPTEDIT, ROOT, Bar, Timing, apart, compete

PEERS = os.environ.get("CKPTEDIT_PEERS", sys.executable)
SCRIPTS = ROOT / "benchmarks" / "peers"
MERGEKIT = "from mergekit.scripts.merge_raw_pytorch import main; main()"


def merge(data: Path, runs: int, subset: bool) -> Iterator[Timing | Bar]:
    """data: the folder for the files; subset: a quarter of the size, for a busy machine."""
    inputs = [data / f"{name}.safetensors" for name in ("base", "tuned1", "tuned2", "tuned3")]
    apart("benchmarks.merge:make", inputs, subset)
    times = compete(commands(data, inputs), runs, status=(0,))
    yield from times.values()
    ours = times["ckptedit merge, 2 threads"]
    for peer, limit in (("sd-mecha", 1 / 4), ("mergekit, fp16", 1 / 10)):
        if peer in times:
            yield Bar(f"wall time, to {peer}", ours.wall / times[peer].wall, limit)
            yield Bar(f"processor time, to {peer}", ours.cpu / times[peer].cpu, limit)
    yield Bar("peak memory in MB", max(t.peak for t in times.values() if "ckptedit" in t.name), 400)
    yield Bar("outputs of 1 and 2 threads that differ", float(threads_differ(data)), 0)


def commands(data: Path, inputs: Sequence[Path]) -> dict[str, Sequence[str]]:
    """Name -> command line, for all sides that are installed."""
    files = [str(path) for path in inputs]
    ours = (*CKPTEDIT, "merge", *files, "--method", "ties", "--force", "-q")
    found: dict[str, Sequence[str]] = {}
    for n in ("2", "1"):
        out = str(data / f"out{n}.safetensors")
        found[f"ckptedit merge, {n} threads"] = (*ours, "--threads", n, "-o", out)
    found["  with the trim over the model"] = (
        *ours, "--trim-scope", "model", "-o", str(data / "model.safetensors")
    )  # fmt: skip
    naive = str(SCRIPTS / "naive_ties.py")
    found["naive torch"] = (sys.executable, naive, str(data / "naive.safetensors"), *files)
    if installed("sd_mecha"):
        script = str(SCRIPTS / "sd_mecha_ties.py")
        found["sd-mecha"] = (PEERS, script, str(data / "mecha.safetensors"), *files)
    if installed("mergekit"):
        config = data / "mergekit.yml"
        config.write_text(mergekit_config(files))
        found["mergekit, fp16"] = (PEERS, "-c", MERGEKIT, str(config), str(data / "mergekit"))
    return found


def mergekit_config(files: Sequence[str]) -> str:
    models = "".join(
        f"\n  - model: {path}\n    parameters: {{weight: 1, density: 0.2}}" for path in files[1:]
    )
    return f"merge_method: ties\nbase_model: {files[0]}\ndtype: float16\nmodels:{models}\n"


def installed(module: str) -> bool:
    return subprocess.run([PEERS, "-c", f"import {module}"], capture_output=True).returncode == 0


def threads_differ(data: Path) -> bool:
    outputs = [str(data / f"out{n}.safetensors") for n in (1, 2)]
    return subprocess.run(["cmp", "-s", *outputs]).returncode != 0


def make(inputs: Sequence[Path], subset: bool) -> None:
    """Writes the checkpoints, unless they are there."""
    from benchmarks.sd1 import sd1, small, synthesize

    for tune, path in enumerate(inputs):
        synthesize(path, small() if subset else sd1(), tune)
