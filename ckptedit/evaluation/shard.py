"""Which part of an evaluation a machine does. Needs no torch."""

from collections.abc import Sequence

from ckptedit.errors import BadParam
from ckptedit.files import escape

BLOCK = 32  # cells that are drawn together; a multiple of any batch that a processor takes at once

Shard = tuple[int, int]  # i of n, i from 1


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/4" is the second of four. Raises BadParam."""
    first, slash, last = text.partition("/")
    if not (slash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise BadParam(f"--shard {escape(text)}: write I/N, as 2/4: the second of four")
    return int(first), int(last)


def of_shard(cells: Sequence[object], shard: Shard) -> list[int]:
    """The indices of the cells whose blocks are shard i's of n; each is in one shard."""
    i, n = shard
    return [at for at in range(len(cells)) if at // BLOCK % n == i - 1]
