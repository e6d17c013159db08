"""Edit what text-to-image diffusion checkpoints know: safetensors in, safetensors out.

Every command of the command line is a function of the same name here. They are imported on first
use, so that `import ckptedit` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

PUBLIC = {
    "Checkpoint": "ckptedit.files",
    "apply": "ckptedit.deltas",
    "export": "ckptedit.deltas",
    "info": "ckptedit.families.info",
    "open_model": "ckptedit.diffusion",
    "project": "ckptedit.text",
    "read_delta": "ckptedit.deltas",
    "sample": "ckptedit.diffusion",
    "write_delta": "ckptedit.deltas",
}

__all__ = [
    "PUBLIC",
    "Checkpoint",
    "apply",
    "export",
    "info",
    "open_model",
    "project",
    "read_delta",
    "sample",
    "write_delta",
]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'ckptedit' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
