"""The bytes of an output: in order, whole, hashed, and read before their turn."""

import hashlib
from threading import Event

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptedit.files import Checkpoint, Kept, Spec, write
from ckptedit.files import writer as module
from ckptedit.files.hashing import Hasher
from ckptedit.files.writer import feed

CHUNK = 8  # bytes


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", CHUNK)
    monkeypatch.setattr(module, "AHEAD", 3)


def checkpoint(folder, contents: list[bytes]) -> Checkpoint:
    specs = [Spec(f"t{i}", "U8", (len(data),)) for i, data in enumerate(contents)]
    write(folder / "kept.safetensors", specs, contents, {}, force=True)
    return Checkpoint(folder / "kept.safetensors")


def reusing(data: bytes):
    """The same buffer over and over, as a generator of data may do."""
    room = bytearray(3)
    for start in range(0, len(data), 3):
        piece = data[start : start + 3]
        room[: len(piece)] = piece
        yield memoryview(room)[: len(piece)]


def as_given(form: str, data: bytes, kept: Kept):
    if form == "kept":
        return kept
    return np.frombuffer(data, np.uint8) if form == "array" else reusing(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tensors=st.lists(
        st.tuples(st.sampled_from(["kept", "array", "generator"]), st.binary(max_size=5 * CHUNK))
    )
)
def test_every_byte_comes_once_and_in_order(tmp_path, tensors):
    contents = [data for _, data in tensors]
    found: list[list[bytes]] = [[]]
    with checkpoint(tmp_path, contents) as source, Hasher() as hasher:
        given_ = (
            as_given(form, data, Kept(source, f"t{i}")) for i, (form, data) in enumerate(tensors)
        )
        for piece in feed(given_, hasher):
            if piece is None:
                found.append([])
            else:
                found[-1].append(bytes(piece))
    assert [b"".join(pieces) for pieces in found] == [*contents, b""]
    assert hasher.hexdigest() == hashlib.sha256(b"".join(contents)).hexdigest()


def test_what_is_kept_is_read_while_the_piece_before_is_written(tmp_path, monkeypatch):
    second = Event()
    read = Kept.read

    def noting(kept, room, start):
        if kept.name == "t1":
            second.set()
        return read(kept, room, start)

    monkeypatch.setattr(Kept, "read", noting)
    with checkpoint(tmp_path, [b"a" * CHUNK] * 4) as source, Hasher() as hasher:
        pieces = feed((Kept(source, name) for name in source), hasher)
        assert bytes(next(pieces)) == b"a" * CHUNK
        assert second.wait(10)  # before anybody asks for it


def test_a_tensor_that_is_computed_waits_for_those_before_it(tmp_path):
    with checkpoint(tmp_path, [b"a" * 5 * CHUNK]) as source, Hasher() as hasher:
        asked = []

        def computed():
            asked.append(True)
            yield b"b"

        pieces = feed([Kept(source, "t0"), computed()], hasher)
        for _ in range(5):
            assert next(pieces) is not None
            assert not asked
        assert [next(pieces), next(pieces)] == [None, b"b"]
