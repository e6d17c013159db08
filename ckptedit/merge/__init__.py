"""Merging: deltas to a delta.

A merge method looks at the task vectors of one tensor as often as it must, and returns the function
that merges a stretch of them (`stack.py` has the words). To add one: write its file, and add its
line below.
"""

from importlib import import_module
from typing import Any

from ckptedit.registry import Registry
from ckptedit.rooms import make_callable

METHODS = Registry(
    "merge method",
    {
        "linear": "ckptedit.merge.linear:linear",
        "task": "ckptedit.merge.task:task",
        "ties": "ckptedit.merge.ties:ties",
        "dare": "ckptedit.merge.dare:dare",
        "della": "ckptedit.merge.della:della",
        "breadcrumbs": "ckptedit.merge.breadcrumbs:breadcrumbs",
        "slerp": "ckptedit.merge.slerp:slerp",
        "model-stock": "ckptedit.merge.model_stock:model_stock",
        "add-difference": "ckptedit.merge.add_difference:add_difference",
        "fuse": "ckptedit.merge.fuse:fuse",
    },
)

PUBLIC = {
    "ArrayStack": "ckptedit.merge.arrays",
    "Recipe": "ckptedit.merge.recipe",
    "Target": "ckptedit.merge.run",
    "merge_arrays": "ckptedit.merge.arrays",
    "merge_checkpoints": "ckptedit.merge.run",
    "merge_files": "ckptedit.merge.run",
}


def __getattr__(name: str) -> Any:
    """Public names, imported when used: the command line needs the names of the methods only."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'ckptedit.merge' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


make_callable(__name__, "ckptedit.merge.run:merge_files")
