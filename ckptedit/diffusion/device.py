"""Where to compute, and with how many threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import Module

from ckptedit.errors import BadParam

PRECISIONS = {
    "auto": None,
    "float32": None,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
OWN = 1_500_000_000  # bytes of a GPU that CUDA and its libraries take for this process
SMALL = 50_000_000  # parameters; below it, handing work to threads costs more than it saves


def resolve_device(name: str) -> torch.device:
    """ "auto", "cpu", "cuda", "cuda:1" or "mps" to a device that is really there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadParam(f"no device is called {name!r}; use auto, cpu, cuda or mps") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise BadParam(f"--device {name}: this machine has {count} CUDA devices; try cpu")
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise BadParam(f"--device {name}: this machine has no Metal device; try cpu")
    elif device.type not in ("cpu", "mps"):
        raise BadParam(f"--device {name} is not supported; use auto, cpu, cuda, cuda:N or mps")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The half-width format to compute in, None for float32.

    "auto" is bfloat16 on a GPU and on processors with instructions for it: twice as fast there, and
    the solver's own arithmetic stays in float32.
    """
    if name not in PRECISIONS:
        raise BadParam(f"no precision is called {name!r}; there are: {', '.join(PRECISIONS)}")
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        # emulated, bfloat16 is slower than float32
        real = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if real else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _cpu_has_bfloat16() else None


def taken_by_others() -> int:
    """Bytes of this process's GPU that other processes hold; 0 if they are next to none."""
    if not torch.cuda.is_available():
        return 0
    free, total = torch.cuda.mem_get_info()
    others = total - free - torch.cuda.memory_reserved()
    return others if others > OWN else 0


def trainable(half: torch.dtype | None) -> torch.dtype | None:
    """The format to train in: float32 in place of float16.

    Gradients of the denoiser's loss underflow float16, whose least number is 6e-8; it would need
    its loss scaled. bfloat16 has the range of float32.
    """
    return None if half == torch.float16 else half


def _cpu_has_bfloat16() -> bool:
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, so maybe not there
    return any(getattr(torch.cpu, test, lambda: False)() for test in tests)


def choose_threads(module: Module | int) -> int:
    """How many threads a module, or its number of parameters, is worth: 2 for small ones, else
    one per core.

    OMP_NUM_THREADS, where it is set, has been read by torch already and decides.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not isinstance(module, int):
        module = sum(parameter.numel() for parameter in module.parameters())
    return min(cores or 1, 2 if module < SMALL else 64)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Computes with this many threads inside the block, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
