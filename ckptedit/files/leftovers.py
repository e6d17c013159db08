"""What a run that was killed leaves beside its target, and how the next one on it puts that right.

Hidden names carry the name of the file that is written, `.NAME.0123456789abcdef.ckptedit-partial`
for what is new and `...ckptedit-old` for what is about to be replaced. Whoever writes holds a lock
on what is new, and one on the folder while the files of a set get their names; the system drops
both with the process. What is locked by nobody is left over.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ckptedit.files.layout import INDEX_SUFFIX, SUFFIX

NEW, OLD = "partial", "old"
HIDDEN = re.compile(rf"\.(.+)\.[0-9a-f]{{16}}\.ckptedit-({NEW}|{OLD})", re.DOTALL)
LONGEST = 255 - len(f"..{'0' * 16}.ckptedit-{NEW}")  # bytes of a name; what is longer is cut


def hidden_name(path: Path, kind: str = NEW) -> Path:
    """A name beside path that nobody else has, and that tells whose it is."""
    name = os.fsdecode(os.fsencode(path.name)[:LONGEST])
    return path.with_name(f".{name}.{secrets.token_hex(8)}.ckptedit-{kind}")


def recover(target: Path) -> None:
    """Removes what a killed run left of an output, or puts the files back that it had moved away.

    Files of a set that have no index yet were not all in place: the old ones come back. Where there
    is an index, old ones are removed. Nothing is touched that a running process still writes.
    """
    folder = target.parent
    if not any(_left_over(target)):
        return
    with alone_in(folder) as alone:
        if not alone:
            return  # nothing tells what is somebody's
        found = [pair for pair in _left_over(target) if pair[1] == OLD or _nobodys(pair[0])]
        complete = (folder / _index_of(target)).exists()
        for hidden, kind, name in found:
            if kind == NEW:
                if not complete and _is_shard(target, name) and _same(hidden, folder / name):
                    (folder / name).unlink()
                shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
        # the index comes last, so that as long as it is missing this goes on the next time
        for hidden, kind, name in sorted(found, key=lambda pair: pair[2] == _index_of(target)):
            if kind == OLD:
                hidden.unlink() if complete else hidden.replace(folder / name)


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Waits until no other writer publishes several files there; False if it cannot be locked."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield lock(fd)
    finally:
        os.close(fd)


def lock(fd: int, *, wait: bool = True) -> bool:
    """Locks an open file or folder until it is closed; False if it is taken, or cannot be."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # taken; or some network file system
        return False
    return True


def is_shard_of(index: str, name: str) -> bool:
    """Whether a file name is one that the shards of an index of that name have."""
    stem = re.escape(index.removesuffix(INDEX_SUFFIX))
    return bool(re.fullmatch(rf"{stem}-[0-9]+-of-[0-9]+{re.escape(SUFFIX)}", name))


def _index_of(target: Path) -> str:
    """The name of the index of the set that a target is or could be a file of."""
    stem = target.name.removesuffix(INDEX_SUFFIX).removesuffix(SUFFIX)
    return re.sub("-[0-9]+-of-[0-9]+$", "", stem) + INDEX_SUFFIX


def _is_shard(target: Path, name: str) -> bool:
    return is_shard_of(_index_of(target), name)


def _left_over(target: Path) -> Iterator[tuple[Path, str, str]]:
    """Hidden files and folders of a target: path, kind, and the name that was meant."""
    mine = (target.name, _index_of(target))
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            match = HIDDEN.fullmatch(entry.name)
            if match and (match[1] in mine or _is_shard(target, match[1])):
                yield Path(entry.path), match[2], match[1]


def _nobodys(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return lock(fd, wait=False)
    finally:
        os.close(fd)


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(one.lstat(), other.lstat())
    return False
