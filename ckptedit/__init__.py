"""Edit what text-to-image diffusion checkpoints know: safetensors in, safetensors out.

Every command of the command line is a function of the same name here. They are imported on first
use, so that `import ckptedit` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckptedit.deltas.apply import apply
    from ckptedit.deltas.delta import read_delta
    from ckptedit.deltas.export import export
    from ckptedit.deltas.make import write_delta
    from ckptedit.diff.run import diff_files as diff
    from ckptedit.diffusion import open_model, sample
    from ckptedit.erase.erase import erase
    from ckptedit.evaluate.evaluate import evaluate
    from ckptedit.families.info import info
    from ckptedit.files import Checkpoint
    from ckptedit.merge.run import merge_files as merge
    from ckptedit.text.project import project

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
ROOMS = ("diff", "erase", "evaluate", "merge")  # callable packages: see rooms.py

__all__ = [
    "PUBLIC",
    "Checkpoint",
    "apply",
    "diff",
    "erase",
    "evaluate",
    "export",
    "info",
    "merge",
    "open_model",
    "project",
    "read_delta",
    "sample",
    "write_delta",
]


def __getattr__(name: str) -> Any:
    if name in ROOMS:
        return import_module(f"ckptedit.{name}")
    if name not in PUBLIC:
        raise AttributeError(f"module 'ckptedit' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
