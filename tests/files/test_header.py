"""Hostile headers, each with its reason; and what is odd but allowed."""

import json

import pytest
from safetensors import SafetensorError, deserialize

from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint, Spec, header, pack_header, parse_header
from tests.files.conftest import raw_file

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
EIGHT = bytes(8)


def tensor(begin: int = 0, end: int = 8, **changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]} | changes


def text(*pairs: str) -> str:
    """A header spelled out, so that it may hold what a dict cannot."""
    return "{" + ",".join(pairs) + "}"


A = '"a":' + json.dumps(F32)

# name: (content of the file, part of the reason, whether the safetensors library refuses it too)
MALFORMED = {
    "empty file": (b"", "it is empty", True),
    "seven bytes": (b"1234567", "it has 7 bytes", True),
    "header of 2^63 bytes": ((2**63).to_bytes(8, "little") + b"{}", "the limit is", True),
    "header of 101 MB": ((101_000_000).to_bytes(8, "little") + b"{}", "the limit is", True),
    "header past the end": ((3).to_bytes(8, "little") + b"{}", "truncated", True),
    "header of no bytes": (raw_file(""), "does not start with", True),
    "no JSON": (raw_file("{nonsense"), "not valid JSON", True),
    "a list": (raw_file("[]"), "does not start with", True),
    "overlap": (
        raw_file({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12)),
        "tensor b overlaps",
        True,
    ),
    "hole": (raw_file({"a": tensor(0, 8), "b": tensor(12, 20)}, bytes(20)), "a gap", True),
    "hole at the start": (raw_file({"a": tensor(4, 12)}, bytes(12)), "a gap", True),
    "one range, two names": (raw_file({"a": F32, "b": F32}, EIGHT), "overlaps", True),
    "trailing bytes": (raw_file({"a": F32}, bytes(9)), "too long", True),
    "bytes without tensors": (raw_file({}, b"x"), "too long", True),
    "truncated": (raw_file({"a": F32}, bytes(7)), "truncated", True),
    "negative offset": (raw_file({"a": tensor(-8, 0, shape=[2])}, EIGHT), "number -8", True),
    "negative dimensions": (raw_file({"a": F32 | {"shape": [-1, -2]}}, EIGHT), "number -1", True),
    "minus zero": (raw_file(A.join("{}").replace("[0,", "[-0,"), EIGHT), "", True),
    "float offset": (raw_file({"a": F32 | {"data_offsets": [0, 8.0]}}, EIGHT), "8.0", True),
    "float dimension": (raw_file({"a": F32 | {"shape": [2.0]}}, EIGHT), "2.0", True),
    "offsets as text": (raw_file({"a": F32 | {"data_offsets": ["0", "8"]}}, EIGHT), "", True),
    "a bool as dimension": (raw_file({"a": tensor(0, 4, shape=[True])}, bytes(4)), "True", True),
    "NaN as dimension": (raw_file('{"a":{"dtype":"F32","shape":[NaN]}}'), "NaN", True),
    "end before begin": (raw_file({"a": F32 | {"data_offsets": [8, 0]}}, EIGHT), "offsets", True),
    "three offsets": (raw_file({"a": F32 | {"data_offsets": [0, 4, 8]}}, EIGHT), "offsets", True),
    "one offset": (raw_file({"a": F32 | {"data_offsets": [8]}}, EIGHT), "offsets", True),
    "shape does not fit the range": (raw_file({"a": F32 | {"shape": [3]}}, EIGHT), "span 8", True),
    "dtype does not fit the range": (raw_file({"a": F32 | {"dtype": "F16"}}, EIGHT), "", True),
    "overflowing shape": (raw_file({"a": F32 | {"shape": [2**62, 4]}}, EIGHT), "too large", True),
    "overflow to the right size": (
        raw_file({"a": F32 | {"shape": [2**63 + 1, 2]}}, EIGHT),
        "too large",
        True,
    ),
    "overflow, then zero": (
        raw_file({"a": tensor(0, 0, shape=[2**40, 2**40, 0])}),
        "too large",
        True,
    ),
    "a dimension of 200 digits": (raw_file({"a": F32 | {"shape": [10**199]}}, EIGHT), "", True),
    "a dimension of 5000 digits": (raw_file('{"a":' + "9" * 5000 + "}"), "out of range", True),
    "unknown dtype": (raw_file({"a": F32 | {"dtype": "F31"}}, EIGHT), "unknown dtype F31", True),
    "dtype of another kind": (raw_file({"a": F32 | {"dtype": 5}}, EIGHT), "unknown dtype", True),
    "three F4 values": (
        raw_file({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}}, b"x"),
        "span",
        True,
    ),
    "no dtype": (raw_file({"a": {"shape": [], "data_offsets": [0, 0]}}), "does not have", True),
    "no shape": (raw_file({"a": {"dtype": "U8", "data_offsets": [0, 0]}}), "does not have", True),
    "no offsets": (raw_file({"a": {"dtype": "U8", "shape": [0]}}), "does not have", True),
    "a tensor that is a number": (raw_file({"a": 5}), "does not have", True),
    "name twice, two ranges": (
        raw_file(text(A, '"a":' + json.dumps(tensor(8, 16))), bytes(16)),
        "has a twice",
        True,
    ),
    "name twice, one range": (raw_file(text(A, A), EIGHT), "has a twice", False),
    "metadata key twice": (
        raw_file('{"__metadata__":{"k":"1","k":"2"}}'),
        "has k twice",
        False,
    ),
    "metadata twice": (raw_file('{"__metadata__":{},"__metadata__":{}}'), "twice", True),
    "metadata with a number": (raw_file({"__metadata__": {"k": 1}}), "table of strings", True),
    "metadata with a table": (raw_file({"__metadata__": {"k": {}}}), "table of strings", True),
    "metadata a list": (raw_file({"__metadata__": []}), "table of strings", True),
    "deep JSON": (raw_file('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "too deeply", True),
    "byte order mark": (raw_file(b"\xef\xbb\xbf{}"), "does not start with", True),
    "UTF-16": (raw_file("{}".encode("utf-16-le")), "not valid JSON", True),
    "bad UTF-8": (raw_file(b'{"\xff":1}'), "not valid JSON", True),
    "half a surrogate pair": (raw_file('{"__metadata__":{"\\ud800":""}}'), "not Unicode", True),
    "raw control character": (raw_file('{"\n":1}'), "not valid JSON", True),
    "padded with NUL": (raw_file(b"{}" + bytes(6)), "not valid JSON", True),
    "leading space": (raw_file(" {}"), "does not start with", False),
    "unknown field": (raw_file({"a": F32 | {"more": 1}}, EIGHT), "only", False),
    "beyond numpy": (raw_file({"a": tensor(0, 0, shape=[0, 2**63])}), "too large", False),
    "65 dimensions": (raw_file({"a": F32 | {"shape": [1] * 64 + [2]}}, EIGHT), "shape", False),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_refused_with_its_reason_on_one_line(case, tmp_path):
    content, reason, _ = MALFORMED[case]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint) as caught:
        Checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and reason in message
    assert message.isprintable() and len(message) < 600


@pytest.mark.parametrize("case", MALFORMED)
def test_what_the_safetensors_library_says_to_it(case):
    """Keeps the third column true: where we refuse more than it does."""
    content, _, refused = MALFORMED[case]
    try:
        deserialize(content)
    except SafetensorError:
        assert refused
    else:
        assert not refused


@pytest.mark.parametrize("spelling", ["data_offsets", "data_offset\\u0073"])
def test_more_tensors_than_any_model_has_are_refused_quickly(tmp_path, monkeypatch, spelling):
    monkeypatch.setattr(header, "_tensor", None)  # would be called for each of them
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    path = tmp_path / "many.safetensors"
    text = json.dumps({str(i): empty for i in range(300_000)})
    path.write_bytes(raw_file(text.replace("data_offsets", spelling)))
    with pytest.raises(BadCheckpoint, match="more than 200000 tensors"):
        Checkpoint(path)


ODD_NAMES = [
    "",
    "a\0b",
    "two\nlines",
    "\x1b[31mred",
    "../../etc/passwd",
    "\u202egnol",
    "ü",
    "a" * 999,
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names_are_read_and_shown_on_one_line(name, tmp_path):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(raw_file({name: F32}, EIGHT))
    checkpoint = Checkpoint(path)
    assert list(checkpoint) == [name]
    with pytest.raises(IndexError) as caught:
        checkpoint.read_into(name, bytearray(9))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("shape", [[0, 2**60], [2**60, 0], [0], [], [1] * 64])
def test_odd_shapes_are_read(shape, tmp_path):
    count = 1 if 0 not in shape else 0
    fields = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * count]}
    path = tmp_path / "odd.safetensors"
    path.write_bytes(raw_file({"a": fields}, bytes(4 * count)))
    checkpoint = Checkpoint(path)
    assert checkpoint["a"].numel == count
    assert checkpoint.raw("a").size == 4 * count
    assert checkpoint.values("a").shape == tuple(shape)


def test_metadata_may_be_missing_or_empty():
    assert parse_header(b"{}", 0).metadata == {}
    assert parse_header(b'{"__metadata__":{}}  ', 0).metadata == {}


def test_tensors_are_ordered_by_their_bytes_and_not_by_the_header():
    header = json.dumps({"z": tensor(8, 12), "a": tensor(0, 8), "none": tensor(8, 8)})
    parsed = parse_header(header.encode(), 12)
    assert [t.name for t in parsed.tensors] == ["a", "none", "z"]
    assert [t.offset for t in parsed.tensors] == [8 + len(header) + n for n in (0, 8, 8)]


def test_a_header_is_packed_to_these_very_bytes():
    specs = [Spec("w", "F16", (2, 3)), Spec("b", "I64", ())]
    packed = pack_header(specs, {"z": "ü", "a": '"'})
    assert packed == (
        b"\x98\0\0\0\0\0\0\0"
        b'{"__metadata__":{"a":"\\"","z":"\xc3\xbc"},'
        b'"w":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},'
        b'"b":{"dtype":"I64","shape":[],"data_offsets":[12,20]}}'
        + b" " * 6
    )  # fmt: skip
    assert len(packed) % 8 == 0


def test_what_is_packed_can_be_parsed():
    specs = [Spec("\x1b", "F64", (2, 3)), Spec("", "BOOL", (5,)), Spec("f4", "F4", (4,))]
    packed = pack_header(specs, {"k": "v"})
    parsed = parse_header(packed[8:], sum(spec.nbytes for spec in specs))
    assert [Spec(t.name, t.dtype, t.shape) for t in parsed.tensors] == specs
    assert parsed.metadata == {"k": "v"}


@pytest.mark.parametrize("names", [["a", "a"], ["__metadata__"]])
def test_a_header_with_a_name_twice_is_not_packed(names):
    with pytest.raises(BadCheckpoint, match="two tensors are called"):
        pack_header([Spec(name, "F32", ()) for name in names], {})
