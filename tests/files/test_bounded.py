"""Small files of text from strangers: a value, or one error that says why not."""

import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptedit.errors import BadCheckpoint
from ckptedit.files.bounded import (
    MAX_BYTES,
    parse_json,
    parse_json_value,
    read_bytes,
    read_json,
    read_text,
)

# fmt: off
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2**63, 2**64) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=4),
)
# fmt: on


@given(st.dictionaries(st.text(), JSON), st.booleans())
def test_what_json_writes_is_read_as_it_was(table: dict[str, object], plain: bool) -> None:
    text = json.dumps(table, ensure_ascii=plain).encode()
    assert parse_json(text, "it") == table


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.data())
def test_any_bytes_are_a_value_that_can_be_written_again_or_one_error(
    text: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(text)))
    text = text[:cut] + data.draw(st.sampled_from([b"", b"[", b"{", b"1e400", b"NaN", b"\xff"]))
    try:
        found = parse_json_value(text, "it")
    except BadCheckpoint as error:
        assert str(error).startswith("it ") and str(error).isprintable()
    else:
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "text, complaint",
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 101 + b"1" + b"]" * 101 + b"}", "nested too deeply"),
        (b'{"a": 1e400}', "has the number 1e400, out of range"),
        (b'{"a": -1e400}', "out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"a": NaN}', "has NaN"),
        (b'{"a": -Infinity}', "has -Infinity"),
        (b'{"a": 1, "a": 2}', "has a twice"),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "has c twice"),
        (b'{"a": ["\\ud800"]}', "not Unicode"),
        (b'{"\\udc00": 1}', "not Unicode"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_what_is_no_json_object_is_refused_with_the_reason(text: bytes, complaint: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"^it .*{complaint}") as caught:
        parse_json(text, "it")
    assert len(str(caught.value)) < 400


def test_a_hundred_levels_are_read_and_one_more_is_not() -> None:
    for levels, depth in ((100, 100), (7, 7)):
        text = b'{"a":' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"
        assert parse_json(text, "it", depth=depth)
        with pytest.raises(BadCheckpoint, match="nested too deeply"):
            parse_json(text, "it", depth=depth - 1)


def test_a_text_of_brackets_costs_no_memory() -> None:
    text = b'{"a":[' + b"[]," * 3_000_000 + b"[]]}"
    tracemalloc.start()
    with pytest.raises(BadCheckpoint, match="more than 2000000 commas and brackets"):
        parse_json(text, "it")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert parse_json(text, "it", items=10_000_000)


@pytest.mark.parametrize(
    "path, complaint",
    [
        ("/dev/zero", "is a device"),
        ("/dev/null", "is a device"),
        ("{}", "is a folder"),
        ("{}/absent", "no such file"),
        ("{}/loop", "symbolic links"),
        ("{}/" + "x" * 5000, "name too long"),
        ("{}/a\0b", "null"),
        ("{}/large", f"more than {MAX_BYTES} bytes"),
        ("{}/large/under", "Not a directory"),
    ],
)
def test_what_is_no_small_file_is_refused(tmp_path: Path, path: str, complaint: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of zeros, of which the disk has none
    for read in (read_bytes, read_text, read_json):
        with pytest.raises(BadCheckpoint, match=f"(?i){complaint}"):
            read(path.format(tmp_path))


def test_a_pipe_is_read_to_its_end_where_a_user_may_name_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BadCheckpoint, match="is a pipe"):  # and nobody waits for a writer
        read_json(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a\nb"))
    writer.start()
    assert read_text(pipe, pipe=True) == "a\nb"
    writer.join()


def test_text_is_utf8_with_or_without_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "it"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + '{"a": "ü"}'.encode())
        assert read_text(path) == '{"a": "ü"}' and read_json(path) == {"a": "ü"}
    path.write_bytes(b"\xfc")
    with pytest.raises(BadCheckpoint, match="not UTF-8"):
        read_text(path)
