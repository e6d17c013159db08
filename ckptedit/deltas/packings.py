"""The other names of a transformer's modules: of the parts of what a base has packed, and of the
whole of what it has apart. The names are in `architectures.py`."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise

from ckptedit.deltas.architectures import SWAPPED, TABLES, Packing
from ckptedit.deltas.keys import WEIGHT
from ckptedit.families.detect import HasShape
from ckptedit.families.family import TRANSFORMER_PREFIXES

Rows = tuple[str, int, int]  # name of a tensor, first row, and the one after the last


def packings(base: Mapping[str, HasShape]) -> Iterator[tuple[list[Rows], str]]:
    """The other names of modules of a base, each with the rows that make it up, in order."""
    bare = {}  # module without its prefix -> tensor
    for prefix in reversed(TRANSFORMER_PREFIXES):
        for name in base:
            if name.startswith(prefix) and name.endswith(WEIGHT):
                bare[name.removeprefix(prefix).removesuffix(WEIGHT)] = name
    table = next((t for marks, t in TABLES.items() if any(m in bare for m in marks)), [])
    for packing in table:
        yield from _split(packing, bare, base)
        yield from _together(packing, bare, base)


def _split(
    packing: Packing, bare: Mapping[str, str], base: Mapping[str, HasShape]
) -> Iterator[tuple[list[Rows], str]]:
    """The parts of what a base has packed."""
    parts = [part for part in packing.apart if part != SWAPPED]
    pattern = _pattern(packing.single)
    for module, name in bare.items():
        bounds = _bounds(base[name].shape, len(parts))
        if not (match := pattern.fullmatch(module)) or bounds is None:
            continue
        for part, (start, stop) in zip(parts, pairwise(bounds), strict=True):
            rows = (name, start, stop)
            runs = _halves(rows, base[name].shape) if SWAPPED in packing.apart else [rows]
            yield runs, part.format(*match.groups())


def _together(
    packing: Packing, bare: Mapping[str, str], base: Mapping[str, HasShape]
) -> Iterator[tuple[list[Rows], str]]:
    """The packed name of what a base has apart, if it has all of it."""
    parts = [part for part in packing.apart if part != SWAPPED]
    found: dict[tuple[str, ...], dict[int, str]] = defaultdict(dict)
    for number, part in enumerate(parts):
        pattern = _pattern(part)
        for module, name in bare.items():
            if (match := pattern.fullmatch(module)) and base[name].shape:
                found[match.groups()][number] = name
    for numbers, names in found.items():
        runs = [(names[i], 0, base[names[i]].shape[0]) for i in sorted(names)]
        if SWAPPED in packing.apart:
            runs = _halves(runs[0], base[runs[0][0]].shape)
        if len(names) == len(parts):
            yield runs, packing.single.format(*numbers)


def _halves(rows: Rows, shape: tuple[int, ...]) -> list[Rows]:
    """Shift and scale the other way round, where these two are all that there is."""
    name, start, stop = rows
    if len(shape) != 2 or shape[0] != 2 * shape[1]:
        return [rows]
    middle = (start + stop) // 2
    return [(name, middle, stop), (name, start, middle)]


def _pattern(module: str) -> re.Pattern[str]:
    return re.compile(re.escape(module).replace(r"\{\}", r"([0-9]{1,4})"))


def _bounds(shape: tuple[int, ...], parts: int) -> list[int] | None:
    """Where the parts of a packed weight begin, and the end; None if it cannot be so packed."""
    if not shape or (parts == 4 and len(shape) < 2):
        return None
    rows = shape[0]
    bounds = [rows * i // parts for i in range(parts + 1)]
    if parts == 4:
        bounds = [0, shape[1], 2 * shape[1], 3 * shape[1], rows]
    elif rows % parts:
        return None
    return bounds if bounds == sorted(bounds) else None
