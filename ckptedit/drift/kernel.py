"""The compiled way to measure a tensor, which passes over it once; numpy takes a dozen passes.

It is built where there is a C compiler that knows vectors (GCC, Clang). Elsewhere, and for dtypes
that it does not take, `ckptedit.drift.pieces` does the same in numpy. It holds code for vectors of
16, 8 and 4 lanes, and takes the widest that the processor has; the sums are the same to the bit.
CKPTEDIT_LANES asks for one of them, to measure on one machine what another does.
"""

import os

from ckptedit.drift.sums import Sums
from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint

try:
    from ckptedit.drift._kernel import measure
except ImportError:
    DTYPES: frozenset[str] = frozenset()
else:
    DTYPES = frozenset({"F16", "BF16", "F32", "I64"})

LANES = {"16": 16, "8": 8, "4": 4}.get(os.environ.get("CKPTEDIT_LANES", ""), 0)  # 0: the widest


def measured(old: Checkpoint, new: Checkpoint, name: str) -> Sums | None:
    """The sums over one tensor, good to 1e-6; None if it holds NaN or Inf, which numpy counts.

    The tensor must have one shape and one dtype of DTYPES on both sides.
    Raises BadCheckpoint if a file was truncated or changed since it was opened.
    """
    info, sources = old[name], (old.source(name), new.source(name))
    places = ((sources[0].fd, info.offset), (sources[1].fd, new[name].offset))
    try:
        found = measure(*places, info.nbytes, info.dtype, LANES)
    except (EOFError, OSError) as error:
        raise BadCheckpoint(f"{sources[0].label} or {sources[1].label}: {error}") from error
    finally:
        for source in sources:
            source.require_unchanged()
    if found is None:
        return None
    changed, *sums = found
    return Sums(info.numel, changed, 0, 0, *sums)
