"""What an edit changed, as a file of its own. Works without torch."""

from ckptedit.deltas.apply import Applied, Plan, apply, carry_out, plan
from ckptedit.deltas.delta import Delta, Entry, is_delta, open_delta, read_delta
from ckptedit.deltas.make import Made, Making, write_delta

__all__ = [
    "Applied",
    "Delta",
    "Entry",
    "Made",
    "Making",
    "Plan",
    "apply",
    "carry_out",
    "is_delta",
    "open_delta",
    "plan",
    "read_delta",
    "write_delta",
]
