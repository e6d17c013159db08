"""One voice for several processes: of those that torchrun starts, one says what all have done."""

import sys

from ckptedit.errors import BadParam
from ckptedit.launch import launched

SHARED = ("erase",)  # commands whose work several processes share


def speaks() -> bool:
    """Whether this process says how it goes and what came of it."""
    return launched().rank == 0


def require_shared(command: str | None) -> None:
    """Raises BadParam if several processes would all do the same, and write the same file."""
    if (count := launched().count) > 1 and command not in SHARED:
        raise BadParam(
            f"torchrun started {count} processes, which only a training shares; start "
            f"`ckptedit {command}` without it"
        )


def verdict(status: int) -> tuple[bool, int]:
    """Whether this process says what went wrong, and the exit status of all.

    The first that is in trouble speaks; the others fail for want of it. Before they have joined,
    all fail alike, and one of each machine speaks.
    """
    launch, torch = launched(), sys.modules.get("torch")
    if launch.count == 1:
        return True, status
    if torch is None or not torch.distributed.is_initialized():
        return launch.local == 0, status
    from torch.distributed.distributed_c10d import _get_default_store

    try:
        said = _get_default_store().compare_set("ckptedit", "", f"{launch.rank} {status}")
    except RuntimeError:  # torchrun is gone, and with it what they share
        return launch.rank == 0, status
    who, agreed = map(int, said.decode().split())
    return who == launch.rank, agreed
