"""Files of full size: erasing ten concepts beside a copy, `diff` and `merge` beside naive torch.

SD1.5 (2.1 GB) and SDXL (6.9 GB), random weights in half precision. 30 GB of disk are needed.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.closed import COPY
from benchmarks.timing import CKPTEDIT, ROOT, Bar, Timing, apart, compete

FAMILIES = ("sd1", "sdxl")
STYLES = ("van gogh", "monet", "picasso", "hokusai", "rembrandt", "vermeer", "klimt", "munch",
          "seurat", "matisse")  # fmt: skip
NAIVE = 4e9  # bytes of a file that naive torch can merge in 24 GB of memory
PEERS = ROOT / "benchmarks" / "peers"


def whole(data: Path, runs: int, subset: bool) -> Iterator[Timing | Bar | str]:
    """subset: SD1.5 alone"""
    for family in FAMILIES[: 1 if subset else None]:
        files = {name: data / f"{family}-{name}.safetensors" for name in ("base", "tuned1")}
        out = data / f"{family}-out.safetensors"
        apart("benchmarks.whole:make", family, data)
        yield f"{family}, {files['base'].stat().st_size / 1e9:.1f} GB"
        yield from erasing(files["base"], data, out, runs)
        yield from comparing(*files.values(), out, runs)
        out.unlink()


def erasing(base: Path, data: Path, out: Path, runs: int) -> Iterator[Timing | Bar]:
    """The whole command in closed form, against a copy that is as safe; then its bytes."""
    asked = [part for name in STYLES for part in ("--concept", name)]
    ours = (*CKPTEDIT, "erase", str(base), *asked, "--kind", "style", "--neighbors", "0",
            "--retain", "photo", "--method", "uce", "--device", "cpu", "--force", "-q",
            "--tokenizer", str(data / "closed-merges.txt.gz"), "-o", str(out))  # fmt: skip
    copy = data / "copy.safetensors"
    times = compete(
        {"cp + fsync": ("sh", "-c", COPY, str(base), str(copy)), "erase, 10 concepts": ours},
        runs,
        status=(0,),
    )
    copy.unlink()
    yield from times.values()
    copied, erased = times.values()
    yield Bar("wall time, to cp + fsync", erased.wall / copied.wall, 10)
    yield Bar("peak memory in MB", erased.peak, 1500)
    found = data / "whole.json"
    apart("benchmarks.whole:judge", base, out, found)
    for name, value in json.loads(found.read_text()).items():
        yield Bar(name, value, 0)
    found.unlink()


def comparing(base: Path, tuned: Path, out: Path, runs: int) -> Iterator[Timing | Bar]:
    given = (str(base), str(tuned))
    ties = (str(PEERS / "naive_ties.py"), str(out), *given)
    commands = {
        "diff: naive torch": (sys.executable, str(PEERS / "naive_diff.py"), *given),
        "diff": (*CKPTEDIT, "diff", "-q", *given),
        "merge": (*CKPTEDIT, "merge", *given, "-q", "--force", "-o", str(out)),
    }
    if base.stat().st_size < NAIVE:
        commands["merge: naive torch"] = (sys.executable, *ties)
    times = compete(commands, runs)
    yield from times.values()
    naive, ours, merged, *naive_merge = times.values()
    yield Bar("diff: processor time, to naive torch", ours.cpu / naive.cpu, 1 / 7)
    yield Bar("diff: peak memory in MB", ours.peak, 100)
    for one in naive_merge:
        yield Bar("merge: wall time, to naive torch", merged.wall / one.wall, 1 / 4)
    yield Bar("merge: peak memory in MB", merged.peak, 400)


def make(family: str, data: Path) -> None:
    """Writes the two checkpoints and a tokenizer, unless they are there."""
    from benchmarks.closed import byte_pairs
    from benchmarks.sd1 import sd1, synthesize
    from benchmarks.sdxl import sdxl

    shapes = sdxl() if family == "sdxl" else sd1(320)
    synthesize(data / f"{family}-base.safetensors", shapes)
    synthesize(data / f"{family}-tuned1.safetensors", shapes, tune=1)
    byte_pairs(data / "closed-merges.txt.gz")


def judge(base: Path, edited: Path, found: Path) -> None:
    """Writes what safetensors and diffusers make of an edit: how many tensors are wrong."""
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.utils import logging
    from safetensors import safe_open

    from ckptedit.families import detect, kv_role
    from ckptedit.files import Checkpoint

    logging.set_verbosity_error()
    family = detect(Checkpoint(base))
    with safe_open(base, "pt") as old, safe_open(edited, "pt") as new:
        names = list(old.keys())
        moved = {n for n in names if not torch.equal(old.get_tensor(n), new.get_tensor(n))}
        wrong = moved ^ {name for name in names if kv_role(name)}
        unet = UNet2DConditionModel.from_single_file(
            str(edited), config=str(family.folder), subfolder="unet", dtype=torch.float16
        )
        values = {name: p for name, p in unet.named_parameters() if kv_role(name)}
        sums = sorted(float(p.detach().double().sum()) for p in values.values())
        theirs = sorted(float(new.get_tensor(n).double().sum()) for n in moved)
    figures = {
        "tensors that differ and should not, or the reverse": len(wrong),
        "K/V weights that diffusers loads otherwise": sum(
            a != b for a, b in zip(sums, theirs, strict=True)
        ),
    }
    found.write_text(json.dumps(figures))
