"""How a training is cut so that it fits into memory: a function of sizes and a budget."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ckptedit.diffusion.footprint import Footprint
from ckptedit.errors import BadParam

# of each number in training, bytes: the weight, its amount, a gradient, Adam's two moments, what
# has moved, and a copy in half precision
TRAINED = 4 + 4 + 4 + 8 + 1 + 2
WAITING = 4 + 4  # its start, and its amount after the last step: read at the end of one
SPARE = 500_000_000  # bytes of a device that its own software and kernels take


@dataclass(frozen=True)
class Sizes:
    """frozen: bytes of weights that nobody trains; trained: numbers that are; aside: bytes of text
    encoders and VAE, which a training reads from before its first step; each: of a picture"""

    frozen: int
    trained: int
    aside: int
    each: Footprint

    def fixed(self, offload: bool) -> int:
        """What a training takes without any picture."""
        here = 0 if offload else WAITING * self.trained + self.aside
        return self.frozen + TRAINED * self.trained + SPARE + here


@dataclass(frozen=True)
class Plan:
    """rows: pictures in one pass with gradients; a batch is cut into as many passes as it takes
    anew: whether single blocks are computed anew; offload: whether text encoders and VAE leave, and
    what only the end of a step reads waits on the host; peak: bytes
    """

    rows: int
    anew: bool
    offload: bool
    peak: int

    def __str__(self) -> str:
        pictures = "1 picture" if self.rows == 1 else f"{self.rows} pictures"
        how = [f"{pictures} at a time"]
        how += ["blocks computed anew for their gradients"] if self.anew else []
        how += ["text encoders and VAE aside"] if self.offload else []
        return f"{', '.join(how)}, at most {self.peak / 1e9:.1f} GB"


def fit(sizes: Sizes, batch: int, budget: int) -> Plan:
    """The fastest plan that fits: nothing computed twice if possible, and the largest passes.

    batch: of a step; budget: bytes
    Raises BadParam if one picture does not fit.
    """
    plain, thin = sizes.each.held, sizes.each.thin + sizes.each.block
    for offload in (False, True):
        fixed = sizes.fixed(offload)
        if fixed + batch * plain <= budget:
            return Plan(batch, False, offload, fixed + batch * plain)
    fixed = sizes.fixed(True)
    room = budget - fixed
    if room < min(plain, thin):
        least = (fixed + min(plain, thin)) / 1e9
        raise BadParam(
            f"a training needs {least:.1f} GB of memory, and has {budget / 1e9:.1f} GB; edit fewer "
            f"weights (--params v), or in closed form, which needs none of it (--method balanced)"
        )
    # both compute every pass twice: one pass of all if blocks make it fit, else the plain way
    anew = batch * thin <= room or plain > room
    each = thin if anew else plain
    rows = min(batch, room // each)
    return Plan(rows, anew, True, fixed + rows * each)


def free_memory(device: torch.device) -> int:
    """Bytes that are free now, on a GPU or of the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    said = _said("MemAvailable")
    return _pages() // 2 if said is None else said


def whole_memory(device: torch.device) -> int:
    """Bytes that there are, free or not."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return _said("MemTotal") or _pages()


def _said(name: str) -> int | None:
    """A line of /proc/meminfo, in bytes; None where it is not Linux."""
    try:
        with Path("/proc/meminfo").open() as file:
            lines = dict(line.split(":", 1) for line in file)
        return 1024 * int(lines[name].split()[0])
    except (OSError, KeyError, ValueError):
        return None


def _pages() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
