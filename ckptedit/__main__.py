"""The console script, also as `python -m ckptedit`."""

import atexit
import gc


def main() -> None:
    """Runs the command line. What imports make stays to the end: no search for garbage in it."""
    gc.disable()
    from ckptedit.cli import main as run

    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)
    run()


if __name__ == "__main__":
    main()
