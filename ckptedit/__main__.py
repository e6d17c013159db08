"""The console script, also as `python -m ckptedit`."""

import atexit
import gc
import os
import signal
from types import FrameType


def main() -> None:
    """Runs the command line. What imports make stays to the end: no search for garbage in it."""
    listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if listening:
        signal.signal(signal.SIGINT, _stop)
    gc.disable()
    from ckptedit.cli import main as run

    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)
    if listening:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _stop(number: int, frame: FrameType | None) -> None:
    """Ends at once: nothing is open yet, and an import may swallow what is raised in it."""
    os.write(2, b"error: interrupted; nothing was written\n")
    os._exit(130)


if __name__ == "__main__":
    main()
