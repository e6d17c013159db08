"""The merge methods. To add one: write its file here, and add its line below.

A method looks at the task vectors of one tensor as often as it must, and returns the function that
merges a stretch of them (`stack.py` has the words). What belongs to one method alone has its name
in front: `ties_rules.py`.
"""

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
