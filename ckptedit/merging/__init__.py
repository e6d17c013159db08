"""Merging: edits of one base to one checkpoint.

`methods/` has a file for each method, `arithmetic/` what they share; `stack.py` has the words. All
else here reads, streams, writes and tells.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ckptedit.merging.methods import METHODS

if TYPE_CHECKING:
    from ckptedit.merging.arrays import ArrayStack, merge_arrays
    from ckptedit.merging.report import Merged
    from ckptedit.merging.run import merge

PUBLIC = {
    "ArrayStack": "ckptedit.merging.arrays",
    "Merged": "ckptedit.merging.report",
    "merge": "ckptedit.merging.run",
    "merge_arrays": "ckptedit.merging.arrays",
}

__all__ = ["METHODS", "PUBLIC", "ArrayStack", "Merged", "merge", "merge_arrays"]


def __getattr__(name: str) -> Any:
    """Public names, imported when used: the command line needs the names of the methods only."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'ckptedit.merging' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
