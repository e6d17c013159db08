"""Whether this process is one of several that `torchrun` started; known without torch."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """rank: of all `count` processes, on all machines; local: of those on this machine"""

    rank: int = 0
    local: int = 0
    count: int = 1


def launched() -> Launch:
    """What torchrun says in the environment; one process alone, if it did not start this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Launch()
    rank, local, count = (int(os.environ[n]) for n in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    return Launch(rank, local, count)
