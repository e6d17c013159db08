"""Merges that grow by one edit at a time, from sums that are kept: not from all edits again.

To add one: write its file, and add its line below. What is not here is merged from all edits.
"""

from ckptedit.registry import Registry

RUNNING = Registry(
    "merge that can be continued",
    {
        "task": "ckptedit.merging.running.task:TaskSums",
        "linear": "ckptedit.merging.running.linear:LinearSums",
        "ties": "ckptedit.merging.running.ties:TiesSums",
    },
)
