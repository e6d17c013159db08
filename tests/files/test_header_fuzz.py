"""Our parser against the safetensors library: whatever we accept, it accepts and reads the same."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint
from ckptedit.files.header import BITS
from tests.files.conftest import raw_file

DATA = bytes(range(256))  # every range of it is different


def rarely(usual: st.SearchStrategy, odd: st.SearchStrategy) -> st.SearchStrategy:
    return st.integers(0, 19).flatmap(lambda n: usual if n else odd)


dtypes = rarely(st.sampled_from([*BITS]), st.sampled_from(["F31", "f32", ""]))
names = rarely(st.text(max_size=3), st.sampled_from(["a", "__metadata__", "\x1b", "é"]))
sizes = rarely(st.integers(0, 4), st.sampled_from([2**31, 2**62, 2**64, -1, 1.0, True, None]))
strange = st.none() | st.booleans() | st.floats() | st.text(max_size=2) | st.lists(st.integers())
spaces = rarely(st.just(""), st.sampled_from([" ", "\t", "\n", "\0", "\x0c"]))


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "fuzz.safetensors"


@st.composite
def fields(draw: st.DrawFn, begin: int) -> dict[str, object]:
    """A tensor that begins there and mostly is what it says."""
    dtype = draw(dtypes)
    shape = draw(st.lists(sizes, max_size=3))
    bits = BITS.get(dtype, 8)
    for size in shape:
        bits *= size if type(size) is int else 1
    end = begin + bits // 8
    found = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    if draw(st.integers(0, 19)) == 0:
        found["data_offsets"] = draw(st.lists(st.integers(-1, 40), max_size=3))
    if draw(st.integers(0, 19)) == 0:
        found[draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))] = draw(strange)
    if draw(st.integers(0, 19)) == 0:
        found.pop(draw(st.sampled_from([*found])))
    return found


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file with a header written pair by pair, so that names may come twice."""
    pairs, begin = [], 0
    if draw(st.booleans()):
        texts = rarely(st.text(max_size=2), strange)
        metadata = draw(st.dictionaries(st.text(max_size=2), texts, max_size=3))
        pairs.append(f'"__metadata__":{json.dumps(metadata)}')
    for _ in range(draw(st.integers(0, 4))):
        tensor = draw(fields(begin))
        pairs.append(f"{json.dumps(draw(names))}:{json.dumps(tensor)}")
        offsets = tensor.get("data_offsets")
        if isinstance(offsets, list) and offsets and type(offsets[-1]) is int:
            begin = offsets[-1]
    header = "{" + ("," + draw(spaces)).join(pairs) + "}"
    header += draw(rarely(st.sampled_from(["", "   "]), st.sampled_from(["\0", "x", "\x0c"])))
    length = min(max(begin + draw(rarely(st.just(0), st.sampled_from([1, -1]))), 0), len(DATA))
    return raw_file(header, DATA[:length])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with a byte changed, put in or taken out."""
    content = bytearray(draw(files()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["change", "put in", "take out"])):
            case "change":
                content[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "put in":
                content[at:at] = bytes([draw(st.sampled_from(b' "\\{}[],:0-9.eEtn\x00\xff'))])
            case "take out":
                del content[at : at + 1]
    return bytes(content)


def ours(path: Path, content: bytes) -> dict[str, tuple[list[int], bytes]] | None:
    path.write_bytes(content)
    try:
        with Checkpoint(path) as checkpoint:
            return {n: (list(t.shape), bytes(checkpoint.raw(n))) for n, t in checkpoint.items()}
    except BadCheckpoint as error:
        assert str(error).isprintable()
        return None


def theirs(content: bytes) -> dict[str, tuple[list[int], bytes]] | None:
    try:
        return {name: (t["shape"], bytes(t["data"])) for name, t in deserialize(content)}
    except SafetensorError:
        return None


@settings(max_examples=400)
@given(content=files() | damaged() | st.binary(max_size=40))
def test_what_we_accept_the_library_accepts_and_reads_the_same(path, content):
    read = ours(path, content)
    assert read is None or read == theirs(content)


@st.composite
def sound(draw: st.DrawFn) -> bytes:
    header, begin = {}, 0
    if draw(st.booleans()):
        header["__metadata__"] = draw(st.dictionaries(st.text(), st.text(), max_size=3))
    keys = st.text().filter(lambda name: name != "__metadata__")
    for name in draw(st.lists(keys, unique=True, max_size=5)):
        dtype = draw(st.sampled_from([d for d, bits in BITS.items() if bits % 8 == 0]))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        end = begin + BITS[dtype] // 8
        for size in shape:
            end = begin + (end - begin) * size
        if end > len(DATA):
            break
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, ensure_ascii=draw(st.booleans()))
    return raw_file(text + " " * draw(st.integers(0, 8)), DATA[:begin])


@settings(max_examples=100)
@given(content=sound())
def test_sound_files_are_accepted_by_both(path, content):
    read = ours(path, content)
    assert read is not None
    assert read == theirs(content)
