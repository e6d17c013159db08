"""Arrays that are dear to compute, kept on disk by the digest of all they depend on.

The folder is $CKPTEDIT_CACHE, or ckptedit/ in $XDG_CACHE_HOME or ~/.cache. It may be deleted at any
time; where it cannot be read or written, everything is computed each time.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def cache_folder() -> Path:
    """Where cached arrays are; it need not exist."""
    if own := os.environ.get("CKPTEDIT_CACHE"):
        return Path(own)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "ckptedit"


def digest(parts: Iterable[str | bytes | NDArray[np.generic]]) -> str:
    """sha256 over the parts, each with its length, so that no two lists run together. Hex."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        if isinstance(data, np.ndarray):
            data = data.tobytes()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def cached(name: str, key: str, make: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
    """The array under this name and key, made and kept if it is not there yet.

    name: what it is, for people who look into the folder; key: a digest
    A file that cannot be read as an array counts as not there.
    """
    path = cache_folder() / f"{name}-{key[:32]}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        return np.load(path, allow_pickle=False)
    made = make()
    with contextlib.suppress(OSError):
        _save(path, made)
    return made


def _save(path: Path, array: NDArray[np.float64]) -> None:
    """Writes a file beside the target and renames it: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, hidden = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, array)
        Path(hidden).replace(path)
    except BaseException:
        Path(hidden).unlink(missing_ok=True)
        raise
