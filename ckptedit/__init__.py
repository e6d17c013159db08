"""Edit what text-to-image diffusion checkpoints know: safetensors in, safetensors out.

Every command of the command line is a function of the same name here. They are imported on first
use, so that `import ckptedit` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckptedit.audits.audit import audit
    from ckptedit.continual.fan_out import plan
    from ckptedit.continual.run import unlearn
    from ckptedit.conversion.run import export
    from ckptedit.deltas.apply import apply
    from ckptedit.deltas.delta import read_delta
    from ckptedit.deltas.import_delta import import_delta
    from ckptedit.deltas.make import write_delta
    from ckptedit.deltas.verification import verify
    from ckptedit.diffusion import open_model, sample
    from ckptedit.drift.run import diff
    from ckptedit.erasure.erase import erase
    from ckptedit.evaluation.evaluate import evaluate
    from ckptedit.families.demo import demo
    from ckptedit.families.info import info
    from ckptedit.files import Checkpoint
    from ckptedit.merging.run import merge
    from ckptedit.reports.report import report
    from ckptedit.subspaces.project import project

__version__ = "0.1.0"

PUBLIC = {  # name -> the module that it is imported from
    "Checkpoint": "ckptedit.files",
    "apply": "ckptedit.deltas",
    "audit": "ckptedit.audits.audit",
    "demo": "ckptedit.families.demo",
    "diff": "ckptedit.drift.run",
    "erase": "ckptedit.erasure.erase",
    "evaluate": "ckptedit.evaluation.evaluate",
    "export": "ckptedit.conversion",
    "import_delta": "ckptedit.deltas",
    "info": "ckptedit.families.info",
    "merge": "ckptedit.merging.run",
    "open_model": "ckptedit.diffusion",
    "plan": "ckptedit.continual.fan_out",
    "project": "ckptedit.subspaces.project",
    "read_delta": "ckptedit.deltas",
    "report": "ckptedit.reports.report",
    "sample": "ckptedit.diffusion",
    "unlearn": "ckptedit.continual.run",
    "verify": "ckptedit.deltas.verification",
    "write_delta": "ckptedit.deltas",
}

__all__ = [
    "PUBLIC",
    "Checkpoint",
    "apply",
    "audit",
    "demo",
    "diff",
    "erase",
    "evaluate",
    "export",
    "import_delta",
    "info",
    "merge",
    "open_model",
    "plan",
    "project",
    "read_delta",
    "report",
    "sample",
    "unlearn",
    "verify",
    "write_delta",
]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'ckptedit' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
