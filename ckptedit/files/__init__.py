"""Bytes on disk: the only room that opens a checkpoint. Works without torch."""

from ckptedit.files import ledger
from ckptedit.files.checkpoint import Checkpoint
from ckptedit.files.dtypes import decode, decode_into, encode, encode_into, number_type
from ckptedit.files.edits import stored_bytes
from ckptedit.files.header import Header, Spec, TensorInfo, pack_header, parse_header
from ckptedit.files.names import escape
from ckptedit.files.permission import check_output
from ckptedit.files.writer import Written, write, write_edited

__all__ = [
    "Checkpoint",
    "Header",
    "Spec",
    "TensorInfo",
    "Written",
    "check_output",
    "decode",
    "decode_into",
    "encode",
    "encode_into",
    "escape",
    "ledger",
    "number_type",
    "pack_header",
    "parse_header",
    "stored_bytes",
    "write",
    "write_edited",
]
