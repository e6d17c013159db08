"""A whole checkpoint in the other spelling: a diffusers folder of a single file, and back."""

from ckptedit.conversion.run import export

__all__ = ["export"]
