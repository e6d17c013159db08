"""Bytes on disk: the only room that opens a checkpoint. Works without torch.

What computes or writes needs numpy, and is imported on first use: comparing does without both.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ckptedit.files import ledger
from ckptedit.files.checkpoint import Checkpoint, opened
from ckptedit.files.header import Header, Spec, TensorInfo, pack_header, parse_header
from ckptedit.files.names import escape
from ckptedit.files.permission import check_output
from ckptedit.files.quantised import quantised, require_weights

if TYPE_CHECKING:
    from ckptedit.files.dtypes import (
        decode,
        decode_into,
        encode,
        encode_into,
        number_type,
        stored_bytes,
    )
    from ckptedit.files.sinks import check_space
    from ckptedit.files.writer import Kept, Written, write, write_edited

LATER = {
    "Kept": "writer",
    "check_space": "sinks",
    "decode": "dtypes",
    "decode_into": "dtypes",
    "encode": "dtypes",
    "encode_into": "dtypes",
    "number_type": "dtypes",
    "stored_bytes": "dtypes",
    "Written": "writer",
    "write": "writer",
    "write_edited": "writer",
}

__all__ = [
    "LATER",
    "Checkpoint",
    "Header",
    "Kept",
    "Spec",
    "TensorInfo",
    "Written",
    "check_output",
    "check_space",
    "decode",
    "decode_into",
    "encode",
    "encode_into",
    "escape",
    "ledger",
    "number_type",
    "opened",
    "pack_header",
    "parse_header",
    "quantised",
    "require_weights",
    "stored_bytes",
    "write",
    "write_edited",
]


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATER[name]}"), name)
