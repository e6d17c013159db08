"""Erasing concepts: a checkpoint and a request to a delta of its K/V weights.

An objective is a function `(denoiser, rows) -> scalar`, one file and one line below.
"""

from ckptedit.registry import Registry
from ckptedit.rooms import make_callable

OBJECTIVES = Registry("objective", {"conabl": "ckptedit.erase.conabl:conabl"})

make_callable(__name__, "ckptedit.erase.erase:erase")
