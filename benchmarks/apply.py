"""`ckptedit apply` of a K/V delta on a file of 4 GB, against copying that file to the disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.timing import CKPTEDIT, Bar, Timing, apart, compete

WIDTH = 320  # the real model's; in float32, as many checkpoints are published: 4.27 GB
RANK = 8  # what `erase` with gradproj:soft makes

# as safe as our own writing: under another name first, on the disk, then renamed
COPY = 'cp "$0" "$1.new" && sync "$1.new" && mv -f "$1.new" "$1"'


def apply(data: Path, runs: int, subset: bool) -> Iterator[Timing | Bar]:
    """data: the folder for the files, 13 GB; subset: two fifths of the size, for a busy machine."""
    size = "small" if subset else "large"
    base, delta, copy, out = (
        str(data / f"apply-{size}-{name}.safetensors") for name in ("base", "delta", "copy", "out")
    )
    apart("benchmarks.apply:make", Path(base), Path(delta), subset)
    ours = (*CKPTEDIT, "apply", base, delta, "-o", out, "--force", "-q")
    times = compete(
        {
            "cp + fsync": ("sh", "-c", COPY, base, copy),
            "ckptedit apply": ours,
            "  with --strength 0.5": (*ours, "--strength", "0.5"),
            "  with --dry-run": (*ours, "--dry-run"),
        },
        runs,
        status=(0,),
    )
    for path in (copy, out):
        Path(path).unlink()
    yield from times.values()
    copied, applied, _, _ = times.values()
    yield Bar("wall time, to cp + fsync", applied.wall / copied.wall, 1.5)


def make(base: Path, delta: Path, subset: bool) -> None:
    """Writes a checkpoint and a delta of rank 8 of its K/V weights, unless they are there."""
    from benchmarks.sd1 import sd1
    from ckptedit.deltas import write_delta
    from ckptedit.files import Checkpoint, Spec, write

    shapes = sd1(WIDTH // 2) if subset else sd1(WIDTH)
    specs = [Spec(name, "F32", shape) for name, shape in shapes.items()]
    if not base.exists():
        write(base, specs, (noise(i, spec.numel) for i, spec in enumerate(specs)), {})
    if delta.exists():
        return
    rng, changes = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            factors = (rng.standard_normal(s, np.float32) for s in ((shape[0], RANK), (RANK, 768)))
            changes[name] = 2e-4 * (next(factors) @ next(factors))
    with Checkpoint(base) as checkpoint:
        write_delta(checkpoint, changes, delta, tolerance=1e-6)


def noise(seed: int, count: int) -> Iterator[np.ndarray]:
    """N(0, 0.02²), a stretch at a time."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, 1 << 20):
        yield rng.standard_normal(min(1 << 20, count - start), np.float32) * np.float32(0.02)
