"""Closed forms of erasing: their algebra at full size, and the whole command against a copy."""

import json
import resource
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from benchmarks.timing import CKPTEDIT, Bar, Timing, apart, compete

SIZES = {  # name -> d, rows of each of the K/V weights
    "SD1.5": (768, 2 * [*5 * [320], *5 * [640], *6 * [1280]]),
    "SDXL": (2048, 2 * [*10 * [640], *60 * [1280]]),
}
LIMITS = {"SD1.5": 0.5, "SDXL": 10.0}  # seconds, of 100 concepts
COUNTS = (1, 10, 100, 1000)
STAY = 1000  # names that stay
FORMS = ("uce", "rece", "dp", "speed", "oce")
SAMPLE = {"SD1.5": 1, "SDXL": 10}  # of so many weights, one is inverted as published
COPY = 'cp "$0" "$1.new" && sync "$1.new" && mv -f "$1.new" "$1"'


def closed(data: Path, runs: int, subset: bool) -> Iterator[Timing | Bar]:
    """subset: SD1.5 alone, no command."""
    for size in list(SIZES)[: 1 if subset else None]:
        found = data / "closed.json"
        apart("benchmarks.closed:measure", size, found, runs)
        times = {name: Timing(name, *row) for name, row in json.loads(found.read_text()).items()}
        found.unlink()
        yield from times.values()
        ours, theirs = (times[f"{size}, 100 concepts: {how}"].cpu for how in ("uce", "published"))
        yield Bar(f"{size}, 100 concepts: processor seconds", ours, LIMITS[size])
        yield Bar(f"{size}, 100 concepts: to an inverse per weight", ours / theirs, 0.1)
    if not subset:
        yield from whole(data, runs)


def measure(size: str, found: Path, runs: int) -> None:
    """Writes name -> wall and processor seconds, medians, and the peak so far, in one thread."""
    import torch

    torch.set_num_threads(1)
    width, rows = SIZES[size]
    rng = torch.Generator().manual_seed(0)
    weights = {f"w{i}": torch.randn(out, width, generator=rng) / 32 for i, out in enumerate(rows)}
    times = {}
    for count in COUNTS:
        given = embeddings(count, width, rng)
        for form in FORMS if count == 100 and size == "SD1.5" else ("uce",):
            job = solver(form, given, weights)
            if count == COUNTS[0]:
                job()  # the first call pays for imports and memory
            times[f"{size}, {count} concepts: {form}"] = timed(job, runs)
        if count == 100:
            some = list(weights.values())[:: SAMPLE[size]]
            wall, cpu, peak = timed(partial(published, given, some), 1)
            share = sum(rows) / sum(map(len, some))
            times[f"{size}, {count} concepts: published"] = (share * wall, share * cpu, peak)
    found.write_text(json.dumps(times))


def embeddings(count: int, width: int, rng: Any) -> Any:
    """Sides of so many targets, ill-conditioned as CLIP's: a large mean, a steep spectrum."""
    import torch

    from ckptedit.erasure.closed_forms.sides import Sides

    mean = torch.randn(width, generator=rng, dtype=torch.float64)
    spectrum = torch.logspace(0, -3, width, dtype=torch.float64)

    def rows(n: int) -> Any:
        return mean + 4 * torch.randn(n, width, generator=rng, dtype=torch.float64) * spectrum

    return Sides(rows(count), rows(count), rows(STAY), tuple(map(str, range(count))))


def solver(form: str, given: Any, weights: Any) -> Callable[[], Any]:
    """All that a closed form computes once the text is encoded."""
    import torch

    from ckptedit.erasure.closed_forms import CLOSED_FORMS

    kind, width = CLOSED_FORMS[form], given.targets.shape[1]
    params = {"energy": 0.99} if form == "dp" else {}  # 1000 names span all of 768 dimensions
    some = {n: w for n, w in weights.items() if kind.roles[0] == "kv" or int(n[1:]) % 2}
    general = given.stay.T @ given.stay / STAY
    empty = torch.randn(1, 77, width, generator=torch.Generator().manual_seed(1))
    words: Any = SimpleNamespace(general=lambda: general, prompts=lambda texts: empty)
    modules = [import_module(f"ckptedit.erasure.closed_forms.{n}") for n in (form, "solving")]

    def run() -> Any:
        holding = [patch.object(m, "sides", lambda *_, **__: given) for m in modules if
                   hasattr(m, "sides")]  # fmt: skip
        for each in holding:
            each.start()
        try:
            return kind(**params).solve(None, words, some)
        finally:
            for each in holding:
                each.stop()

    return run


def published(given: Any, weights: list[Any]) -> list[Any]:
    """Unified concept editing as it is published: sums and an inverse for each weight, float32."""
    import torch

    c, goal, c0 = (each.float().T for each in (given.targets, given.anchors, given.stay))
    edited = []
    for w in weights:
        left = 0.5 * w + w @ goal @ c.T + w @ c0 @ c0.T
        system = 0.5 * torch.eye(len(c)) + c @ c.T + c0 @ c0.T
        edited.append(left @ torch.inverse(system))
    return edited


def timed(job: Callable[[], Any], runs: int) -> tuple[float, float, float]:
    wall, cpu = [], []
    for _ in range(runs):
        began, spent = time.perf_counter(), time.process_time()
        job()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    return median(wall), median(cpu), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def whole(data: Path, runs: int) -> Iterator[Timing | Bar]:
    """The command on SD1.5's file of 2.1 GB, with a tokenizer made for it."""
    base, copy, out = (str(data / f"closed-{n}.safetensors") for n in ("base", "copy", "out"))
    tokenizer = data / "closed-merges.txt.gz"
    apart("benchmarks.closed:make", Path(base), tokenizer)
    asked = ("--concept", "van gogh", "--kind", "style", "--neighbors", "0", "--retain", "monet")
    ours = (*CKPTEDIT, "erase", base, *asked, "--method", "uce", "--device", "cpu",
            "--tokenizer", str(tokenizer), "--force", "-q", "-o")  # fmt: skip
    times = compete(
        {
            "cp + fsync": ("sh", "-c", COPY, base, copy),
            "erase --method uce": (*ours, out),
            "  with --delta": (*ours, out, "--delta"),
        },
        runs,
        status=(0,),
    )
    for path in (copy, out):
        Path(path).unlink()
    yield from times.values()
    copied, erased, _ = times.values()
    yield Bar("wall time, to cp + fsync", erased.wall / copied.wall, 10)


def make(base: Path, tokenizer: Path) -> None:
    """Writes the checkpoint and as many byte pairs as CLIP has, unless they are there."""
    from benchmarks.sd1 import sd1, synthesize

    synthesize(base, sd1(320))
    byte_pairs(tokenizer)


def byte_pairs(tokenizer: Path) -> None:
    """A vocabulary of CLIP's size in which letters are pairs, unless it is there."""
    import gzip
    from itertools import product

    from ckptedit.text.tokenizer import MERGES, byte_alphabet

    if not tokenizer.exists():
        letters = byte_alphabet()
        ends = [*letters, *(letter + "</w>" for letter in letters)]
        pairs = [f"{a} {b}" for a, b in product(letters, ends)][:MERGES]
        tokenizer.write_bytes(gzip.compress("\n".join(["#version", *pairs, ""]).encode()))
