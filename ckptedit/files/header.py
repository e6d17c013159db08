"""The header of a safetensors file: names, dtypes, shapes and metadata, without torch.

Layout: https://github.com/huggingface/safetensors#format
The parser accepts less than the safetensors library does: no name or key twice, no space before the
brace, no field that it does not know, and no more tensors than any model has.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

from ckptedit.errors import BadCheckpoint
from ckptedit.files.bounded import without_duplicates
from ckptedit.files.names import escape

# fmt: off
BITS = {  # bits per value
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64,  # these are only ever copied
}
# fmt: on

MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors library
MAX_TENSORS = 200_000  # in one file; the largest published models have under 100 000 in all
MAX_DIMS = 64  # of numpy
MAX_ITEMS = 12 * MAX_TENSORS  # commas and brackets: Python takes up to 300 bytes for what they hold
METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class Spec:
    """A tensor that is to be written."""

    name: str
    dtype: str  # as safetensors spells it: F32, BF16, F8_E4M3, I64, BOOL
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * BITS[self.dtype] // 8


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as the header of its file describes it."""

    name: str
    dtype: str  # as safetensors spells it: F32, BF16, F8_E4M3, I64, BOOL
    shape: tuple[int, ...]
    offset: int  # bytes from the start of its file
    nbytes: int
    file: int = 0  # which shard or component; 0 in a single file

    @property
    def numel(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    tensors: tuple[TensorInfo, ...]  # in the order of their bytes
    metadata: dict[str, str]


def parse_header(text: bytes | bytearray, data_bytes: int) -> Header:
    """Reads the JSON between the length prefix and the tensors.

    data_bytes: how much follows it in the file; the tensors must fill that exactly
    Raises BadCheckpoint with the reason alone; the caller knows the file's name.
    """
    parsed = _json(text)
    metadata = parsed.pop(METADATA, {})
    if len(parsed) > MAX_TENSORS:
        raise BadCheckpoint(f"has more than {MAX_TENSORS} tensors")
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise BadCheckpoint(f"{METADATA} is not a table of strings")
    start = 8 + len(text)
    tensors = sorted(
        (_tensor(name, fields, start) for name, fields in parsed.items()),
        key=lambda tensor: (tensor.offset, tensor.nbytes),
    )
    end = start
    for tensor in tensors:
        if tensor.offset != end:
            kind = "overlaps another" if tensor.offset < end else "leaves a gap before it"
            raise BadCheckpoint(f"tensor {escape(tensor.name)} {kind}")
        end += tensor.nbytes
    if end != start + data_bytes:
        raise BadCheckpoint(_wrong_size(end - start, data_bytes))
    return Header(tuple(tensors), metadata)


def _wrong_size(described: int, found: int) -> str:
    kind = "truncated" if found < described else "too long"
    return f"{kind}: its header describes {described} bytes of tensors, the file has {found}"


def _json(text: bytes | bytearray) -> dict[str, Any]:
    if text[:1] != b"{":
        raise BadCheckpoint("its header does not start with '{'")
    if text.count(b'"data_offsets"') > MAX_TENSORS:  # before any memory is spent on them
        raise BadCheckpoint(f"has more than {MAX_TENSORS} tensors")
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_ITEMS:
        raise BadCheckpoint(f"its header has more than {MAX_ITEMS} commas and brackets")
    return _strict_json(text, "its header")


def _strict_json(text: bytes | bytearray, what: str) -> dict[str, Any]:
    """Parses a JSON object without duplicate keys, numbers but natural ones, or broken Unicode."""
    try:
        parsed = json.loads(
            text.decode(),
            object_pairs_hook=without_duplicates,
            parse_int=_natural,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
        if b"\\u" in text:
            _require_unicode(parsed)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{what} {error}") from None
    except RecursionError as error:
        raise BadCheckpoint(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise BadCheckpoint(f"{what} is not valid JSON ({escape(error)})") from error
    if not isinstance(parsed, dict):
        raise BadCheckpoint(f"{what} is not a JSON object")
    return parsed


def _natural(text: str) -> int:
    if text.startswith("-") or len(text) > 20:
        raise BadCheckpoint(f"has the number {escape(text)}, out of range")
    return int(text)


def _no_float(text: str) -> NoReturn:
    raise BadCheckpoint(f"has the number {escape(text)}, not a natural one")


def _require_unicode(value: Any) -> None:
    """Refuses half a surrogate pair, which JSON can spell and UTF-8 cannot."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise BadCheckpoint("has text that is not Unicode") from error
    elif isinstance(value, dict):
        for key, item in value.items():
            _require_unicode(key)
            _require_unicode(item)


def _tensor(name: str, fields: Any, start: int) -> TensorInfo:
    shown = escape(name)
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise BadCheckpoint(f"tensor {shown} does not have dtype, shape and data_offsets, only")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise BadCheckpoint(f"tensor {shown} has the unknown dtype {escape(dtype)}")
    if not _naturals(shape, MAX_DIMS):
        raise BadCheckpoint(f"tensor {shown} has the shape {escape(shape)}")
    if not _naturals(offsets, 2) or len(offsets) < 2 or offsets[0] > offsets[1]:
        raise BadCheckpoint(f"tensor {shown} has the data_offsets {escape(offsets)}")
    begin, end = offsets
    count = 1
    for size in shape:
        count *= size
        if size >= 2**63 or count >= 2**64:
            raise BadCheckpoint(f"tensor {shown} has the shape {escape(shape)}, too large")
    bits = count * BITS[dtype]
    if bits != 8 * (end - begin):
        raise BadCheckpoint(
            f"tensor {shown} is {dtype} {escape(shape)}, {bits // 8} bytes, "
            f"but its data_offsets span {end - begin}"
        )
    return TensorInfo(name, dtype, tuple(shape), start + begin, end - begin)


def _naturals(value: Any, most: int) -> bool:
    """Whether it is a list of at most `most` integers; bool is one to isinstance, but not here."""
    return (
        isinstance(value, list) and len(value) <= most and all(type(item) is int for item in value)
    )


def pack_header(specs: Iterable[Spec | TensorInfo], metadata: Mapping[str, str]) -> bytes:
    """The length prefix and the JSON, padded so that the tensors start at a multiple of 8 bytes.

    The tensors follow it in the order of specs, without gaps. Metadata is sorted, so that the same
    content has the same bytes. Raises BadCheckpoint for what parse_header would refuse.
    """
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for spec in specs:
        if spec.name in header or spec.name == METADATA:
            raise BadCheckpoint(f"two tensors are called {escape(spec.name)}")
        fields = {"dtype": spec.dtype, "shape": spec.shape}
        header[spec.name] = fields | {"data_offsets": [offset, offset + spec.nbytes]}
        offset += spec.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise BadCheckpoint(f"a header of {len(text)} bytes; the format allows {MAX_HEADER}")
    return len(text).to_bytes(8, "little") + text
