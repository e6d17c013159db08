"""Merging: deltas to a delta.

A merge method looks at the task vectors of one tensor as often as it must, and returns the function
that merges a stretch of them (`stack.py` has the words). To add one: write its file, and add its
line below.
"""

from ckptedit.registry import Registry

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
