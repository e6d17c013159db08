"""Where to compute, and with how many threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import Module

from ckptedit.errors import BadParam

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


def choose_threads(module: Module) -> int:
    """How many threads a module's size is worth: 2 for small ones, else one per core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return min(cores or 1, 2 if parameters < SMALL else 64)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Computes with this many threads inside the block, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
