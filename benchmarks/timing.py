"""Runs whole commands and measures them: wall time, processor time, peak resident memory.

Linux counts the memory of the process that starts a command as the command's own. So nothing large
is imported here, and checkpoints are made in a process of their own (`apart`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
CKPTEDIT = (sys.executable, "-m", "ckptedit")


@dataclass(frozen=True)
class Timing:
    """Medians over the runs of one command."""

    name: str
    wall: float  # seconds
    cpu: float  # seconds, user and system, of all threads
    peak: float  # MB, the most of any run

    def __str__(self) -> str:
        return f"{self.name:<44} {self.wall:8.2f} s {self.cpu:8.2f} s {self.peak:9.0f} MB"


@dataclass(frozen=True)
class Bar:
    """A ratio that must be reached: ours to the peer's."""

    name: str
    value: float
    limit: float

    def __str__(self) -> str:
        met = "met" if self.value <= self.limit else "MISSED"
        return f"{self.name:<44} {self.value:8.3g}   bar {self.limit:.3g}: {met}"


def apart(function: str, *args: object) -> None:
    """Calls "module:function" in a child process, which takes what it imports with it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            module, _, name = function.partition(":")
            getattr(import_module(module), name)(*args)
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"{function} failed")


def run_once(command: Sequence[str], status: Sequence[int] = (0,)) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MB of one command.

    status: the exit statuses that count as success
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors = process.stderr.read() if process.stderr else b""
    _, wait_status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    if process.returncode not in status:
        text = errors.decode(errors="replace")
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}:\n{text}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compete(
    commands: dict[str, Sequence[str]], runs: int, status: Sequence[int] = (0, 1)
) -> dict[str, Timing]:
    """Times several commands in turn, run by run, so that a busy moment hits all of them alike.

    Each round goes the other way round: pages that one command has freed are cheap for the next.
    """
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for i in range(runs):
        for name in list(commands)[:: 1 if i % 2 == 0 else -1]:
            results[name].append(run_once(commands[name], status))
    return {
        name: Timing(
            name,
            wall=median(row[0] for row in rows),
            cpu=median(row[1] for row in rows),
            peak=max(row[2] for row in rows),
        )
        for name, rows in results.items()
    }
