"""Objectives of trained erasures. To add one: write its file, and add its line below."""

from ckptedit.registry import Registry

OBJECTIVES = Registry("objective", {"conabl": "ckptedit.erasure.objectives.conabl:ConAbl"})
DEFAULT = "conabl"
