"""Merging: deltas to a delta.

A merge method looks at the task vectors of one tensor as often as it must, and returns the function
that merges a stretch of them (`stack.py` has the words). To add one: write its file, and add its
line below.
"""

from importlib import import_module
from typing import Any

from ckptedit.registry import Registry

METHODS = Registry(
    "merge method",
    {
        "linear": "ckptedit.merging.methods.linear:linear",
        "task": "ckptedit.merging.methods.task:task",
        "ties": "ckptedit.merging.methods.ties:ties",
        "dare": "ckptedit.merging.methods.dare:dare",
        "della": "ckptedit.merging.methods.della:della",
        "breadcrumbs": "ckptedit.merging.methods.breadcrumbs:breadcrumbs",
        "slerp": "ckptedit.merging.methods.slerp:slerp",
        "model-stock": "ckptedit.merging.methods.model_stock:model_stock",
        "add-difference": "ckptedit.merging.methods.add_difference:add_difference",
        "fuse": "ckptedit.merging.methods.fuse:fuse",
    },
)

PUBLIC = {
    "ArrayStack": "ckptedit.merging.arrays",
    "Recipe": "ckptedit.merging.recipe",
    "Target": "ckptedit.merging.run",
    "merge_arrays": "ckptedit.merging.arrays",
    "merge_checkpoints": "ckptedit.merging.run",
    "merge": "ckptedit.merging.run",
}


def __getattr__(name: str) -> Any:
    """Public names, imported when used: the command line needs the names of the methods only."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'ckptedit.merging' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
