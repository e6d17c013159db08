"""Erasing concepts: a checkpoint and a request to a delta of its K/V weights.

An objective is a function `(denoiser, rows) -> scalar`, one file and one line below.
"""

from ckptedit.registry import Registry

OBJECTIVES = Registry("objective", {"conabl": "ckptedit.erasure.objectives.conabl:conabl"})
