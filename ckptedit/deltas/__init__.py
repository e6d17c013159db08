"""What an edit changed, as a file of its own. Works without torch."""

from ckptedit.deltas.application import Application, plan
from ckptedit.deltas.apply import Applied, apply, carry_out, check_target
from ckptedit.deltas.change import Dense, LowRank
from ckptedit.deltas.delta import Delta, is_delta, open_delta, read_delta
from ckptedit.deltas.entry import Entry
from ckptedit.deltas.export import Exported, export
from ckptedit.deltas.import_delta import import_delta
from ckptedit.deltas.make import Made, write_delta

__all__ = [
    "Application",
    "Applied",
    "Delta",
    "Dense",
    "Entry",
    "Exported",
    "LowRank",
    "Made",
    "apply",
    "carry_out",
    "check_target",
    "export",
    "import_delta",
    "is_delta",
    "open_delta",
    "plan",
    "read_delta",
    "write_delta",
]
