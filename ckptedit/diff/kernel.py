"""The compiled way to measure a piece, which passes over it once; numpy takes a dozen passes.

It is built where there is a C compiler that knows vectors (GCC, Clang). Elsewhere, and for dtypes
that it does not take, `ckptedit.diff.norms` does the same in numpy.
"""

from ckptedit.diff.norms import Bytes, Sums

try:
    from ckptedit.diff._kernel import measure
except ImportError:
    DTYPES: frozenset[str] = frozenset()
else:
    DTYPES = frozenset({"F16", "BF16", "F32"})


def measured(old: Bytes, new: Bytes, dtype: str, used: int) -> Sums | None:
    """The sums over a piece, in float64; None if NaN or Inf is in it, which are left to numpy.

    old, new: stored bytes of one of DTYPES, zero behind the first `used` elements
    """
    found = measure(old, new, dtype)
    if found is None:
        return None
    changed, *sums = found
    return Sums(used, changed, 0, 0, *sums)
