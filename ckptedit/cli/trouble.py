"""What goes wrong, as one line for the user and an exit status."""

from collections.abc import Collection
from pathlib import Path

from ckptedit.errors import Busy, CkptError, LimitExceeded

# exit statuses; 1, which Python has for a bug, means "they differ" and "beyond a limit"
BEYOND, TROUBLE, BUSY, INTERRUPTED = 1, 2, 75, 130
TAKEN = "devices are busy or unavailable"  # as CUDA puts it
FULL = ("out of memory", "not enough memory", "can't allocate memory")  # as torch puts it


def told(
    error: BaseException, options: Collection[str] = (), interrupted: str = "interrupted"
) -> tuple[str, int]:
    """What is said about an error, and the exit status. A line, whatever the error is.

    options: of the command, so that no remedy is named which it has not
    interrupted: what is said of an interrupt, as it knows what was written
    """
    if isinstance(error, KeyboardInterrupt):
        return interrupted, INTERRUPTED
    if isinstance(error, CkptError):
        kinds = ((LimitExceeded, BEYOND), (Busy, BUSY), (CkptError, TROUBLE))
        status = next(status for kind, status in kinds if isinstance(error, kind))
        return "; ".join([str(error), *getattr(error, "__notes__", [])]), status
    if is_taken(error):
        return "the GPU is in use by another job, alone; try again when it has ended", BUSY
    if is_full(error):
        others = held_by_others(error)
        held = f"; other jobs hold {others / 1e9:.1f} GB of it at the moment" if others else ""
        return out_of_memory(error, options) + held, BUSY if others else TROUBLE
    from ckptedit.files import escape  # not at the top: help needs nothing of the files

    if isinstance(error, OSError) and error.strerror:
        where = f"{escape(error.filename)}: " if error.filename is not None else ""
        return f"{where}{error.strerror}", TROUBLE
    return (
        f"a bug in ckptedit, {type(error).__name__}: {escape(error)} ({_place(error)}); "
        f"`ckptedit --debug` and the same again shows more"
    ), TROUBLE


def is_full(error: BaseException) -> bool:
    """Whether memory was short: Python's error, the GPU's, or torch's on a CPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in FULL)
    )


def is_taken(error: BaseException) -> bool:
    """Whether a GPU that serves one process only serves another."""
    return isinstance(error, RuntimeError) and TAKEN in str(error)


def held_by_others(error: BaseException) -> int:
    """Bytes of a full GPU that other processes hold; 0 if they are next to none."""
    if type(error).__name__ != "OutOfMemoryError":
        return 0
    from ckptedit.diffusion.device import taken_by_others

    return taken_by_others()


def out_of_memory(error: BaseException, options: Collection[str]) -> str:
    """Names what is full, and what the command can do about it."""
    gpu = type(error).__name__ == "OutOfMemoryError"
    remedies = ["a smaller --batch"] if "--batch" in options else []
    remedies += ["--device cpu"] if gpu and "--device" in options else []
    remedy = f"; try {' or '.join(remedies)}" if remedies else ""
    return f"out of memory{' on the GPU' if gpu else ''}{remedy}"


def _place(error: BaseException) -> str:
    """File and line where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
