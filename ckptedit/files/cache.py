"""Arrays that are dear to compute, kept on disk by the digest of all they depend on.

The folder is $CKPTEDIT_CACHE, or ckptedit/ in $XDG_CACHE_HOME or ~/.cache. It may be deleted at any
time. It is not trusted: an entry is a safetensors file with the digest of its content in the
metadata, and what is damaged, holds NaN, or could be another user's is made anew; a line of the log
says so. Where nothing can be read or written, everything is computed each time.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from ckptedit.errors import BadCheckpoint, CkptError
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.dtypes import NATIVE
from ckptedit.files.header import Spec
from ckptedit.files.names import escape
from ckptedit.files.writer import write

Array: TypeAlias = NDArray[Any]
Scalar = TypeVar("Scalar", bound=np.generic)

DIGEST, FORM = "ckptedit.sha256", "ckptedit.form"
ONE, MANY = "array", "table"  # what `make` returned; ONE is also the name of a single array
DTYPES = {np.dtype(native): name for name, native in NATIVE.items()}
SUFFIX = ".cached.safetensors"  # nobody else's file is ever removed
MAX_TOTAL = 4_000_000_000  # bytes of all entries; those not used for longest go first
OTHERS = 0o022  # who may write, besides the owner

Make: TypeAlias = Callable[[], Any]

_off: ContextVar[bool] = ContextVar("_off", default=False)
_teller: ContextVar[Callable[[Make], Any]] = ContextVar("_teller", default=lambda make: make())
log = logging.getLogger("ckptedit")


def cache_folder() -> Path:
    """Where cached arrays are; it need not exist. Raises RuntimeError if nobody has a home here."""
    if own := os.environ.get("CKPTEDIT_CACHE"):
        return Path(own)
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "ckptedit"


def digest(parts: Iterable[str | bytes | NDArray[np.generic]]) -> str:
    """sha256 over the parts, each with its length, so that no two lists run together. Hex."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else memoryview(_raw(part))
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


@overload
def cached(name: str, key: str, make: Callable[[], NDArray[Scalar]]) -> NDArray[Scalar]: ...


@overload
def cached(name: str, key: str, make: Callable[[], Mapping[str, Array]]) -> dict[str, Array]: ...


def cached(name: str, key: str, make: Callable[[], Any]) -> Any:
    """What make() returns, from the entry of this name and key, or made now and kept.

    name: what it is, for people who look into the folder; key: a digest of all it depends on
    make: returns one array, or a table of several, of any dtype that numpy and safetensors have
    """
    return _teller.get()(lambda: _found(name, key, make))


def _found(name: str, key: str, make: Make) -> Any:
    if (path := _path(name, key)) is None:
        return make()
    if os.path.lexists(path):
        try:
            return _load(path, key)
        except (CkptError, OSError) as error:
            log.warning("the cached %s is made anew: %s", name, error)
    made = make()
    try:
        _save(path, key, made)
    except (CkptError, OSError) as error:
        log.warning("the %s is not kept for the next time: %s", name, error)
    return made


def kept(name: str, key: str) -> dict[str, Array] | None:
    """The table under this name and key; None, and a line of the log, if it is damaged."""
    path = _path(name, key)
    if path is None or not os.path.lexists(path):
        return None
    try:
        found = _load(path, key)
    except (CkptError, OSError) as error:
        log.warning("the kept %s is of no use: %s", name, error)
        return None
    return found if isinstance(found, dict) else None


def keep(name: str, key: str, made: Mapping[str, Array]) -> None:
    """Keeps a table, in place of the one before; where it cannot, a line of the log says so."""
    if (path := _path(name, key)) is None:
        return
    try:
        _save(path, key, made)
    except (CkptError, OSError) as error:
        log.warning("the %s is not kept: %s", name, error)


def drop(name: str, key: str) -> None:
    """Removes what is kept under this name and key, if anything is."""
    if (path := _path(name, key)) is not None:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """A context in which nothing is kept and nothing is found."""
    before = _off.set(True)
    try:
        yield
    finally:
        _off.reset(before)


@contextlib.contextmanager
def told_by(teller: Callable[[Make], Any]) -> Iterator[None]:
    """A context in which what is cached is what a function returns of a way to find or make it:
    one of several processes may do that for all of them."""
    before = _teller.set(teller)
    try:
        yield
    finally:
        _teller.reset(before)


def _path(name: str, key: str) -> Path | None:
    if _off.get():
        return None
    folder = _own_folder()
    return folder and folder / f"{name}-{key[:32]}{SUFFIX}"


def _own_folder() -> Path | None:
    """The folder, made if need be; None if there can be none, or others can write to it."""
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_own(folder.stat(), f"{escape(folder)}:")
    except (CkptError, OSError, RuntimeError) as error:
        log.warning("no cache: %s", error)
        return None
    return folder


def _require_own(found: os.stat_result, what: str) -> None:
    if found.st_uid != os.geteuid():
        raise BadCheckpoint(f"{what} belongs to another user")
    if found.st_mode & OTHERS:
        raise BadCheckpoint(f"{what} others can write to it (chmod go-w)")


def _load(path: Path, key: str) -> Array | dict[str, Array]:
    """Raises BadCheckpoint unless it is what was saved under this key, all of it and finite."""
    with Checkpoint(path) as entry:
        _require_own(entry.sources[0].stat, f"{entry.label}:")
        said = entry.metadata
        arrays = {name: _array(entry, name) for name in entry}
        form = said.get(FORM, "")
        if said.get(DIGEST) != _content(key, form, arrays):
            raise BadCheckpoint(f"{entry.label}: damaged, its content has not its digest")
        if not all(map(_finite, arrays.values())):
            raise BadCheckpoint(f"{entry.label}: holds NaN or Inf")
    with contextlib.suppress(OSError):
        os.utime(path)  # when it was last used
    return arrays[ONE] if form == ONE else arrays


def _array(entry: Checkpoint, name: str) -> Array:
    info = entry[name]
    if info.dtype not in NATIVE:
        raise BadCheckpoint(f"{entry.label}: damaged, its content has the dtype {info.dtype}")
    return entry.raw(name).view(NATIVE[info.dtype]).reshape(info.shape)


def _save(path: Path, key: str, made: Array | Mapping[str, Array]) -> None:
    """Keeps what is finite; a reader sees all of it or nothing."""
    arrays = {ONE: made} if isinstance(made, np.ndarray) else made
    if not all(map(_finite, arrays.values())):
        raise BadCheckpoint("it holds NaN or Inf")
    specs = [Spec(name, DTYPES[array.dtype], array.shape) for name, array in arrays.items()]
    form = ONE if isinstance(made, np.ndarray) else MANY
    metadata = {DIGEST: _content(key, form, arrays), FORM: form}
    write(path, specs, map(_raw, arrays.values()), metadata, force=True)
    path.chmod(0o600)
    _forget(path.parent)


def _content(key: str, form: str, arrays: Mapping[str, Array]) -> str:
    """The digest of all that an entry says: names, dtypes, shapes and values."""
    facts = str([(name, array.dtype.str, array.shape) for name, array in arrays.items()])
    return digest([key, form, facts, *arrays.values()])


def _finite(array: Array) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _raw(part: Array | bytes) -> Any:
    """What is in it, as one run of bytes."""
    return part if isinstance(part, bytes) else np.ascontiguousarray(part).reshape(-1).view("u1")


def _forget(folder: Path) -> None:
    """Removes the entries that were not used for longest, until the rest has at most MAX_TOTAL."""
    room = MAX_TOTAL
    for path in sorted(folder.glob(f"*{SUFFIX}"), key=_last_used, reverse=True):
        with contextlib.suppress(OSError):
            room -= path.stat().st_size
            if room < 0:
                path.unlink()


def _last_used(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
