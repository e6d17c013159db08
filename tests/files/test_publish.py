"""Several files of one output: all of them appear or none, whatever comes in between."""

import fcntl
import os
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ckptedit.errors import BadCheckpoint, OutputExists, WriteFailed
from ckptedit.files import Checkpoint, Spec, write
from ckptedit.files.publish import NewFile
from tests.files.conftest import listing
from tests.files.test_hazards import naming

__all__ = ["naming"]  # runs all of these both ways

SPECS = [Spec(str(i), "U8", (100,)) for i in range(3)]
SHARDS = [f"out-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
INDEX = "out.safetensors.index.json"
ALL = [*SHARDS, INDEX]


def put(folder: Path, value: int, force: bool = False) -> None:
    data = [np.full(100, value, np.uint8)] * 3
    write(folder / "out.safetensors", SPECS, data, {}, force=force, shard_size=100)


def generations(folder: Path) -> set[int]:
    return {
        int(Checkpoint(path).raw(name)[0])
        for path in folder.glob("out-*")
        for name in Checkpoint(path)
    }


def at_publishing(monkeypatch, number: int, after: bool, event) -> None:
    """Lets event() happen once, before or after the file of that number gets its name."""
    real, calls = NewFile.publish, []

    def publish(self: NewFile, replace: bool) -> None:
        calls.append(self)
        if after:
            real(self, replace)
        if len(calls) == number + 1:
            event()
        if not after:
            real(self, replace)

    monkeypatch.setattr(NewFile, "publish", publish)


def test_a_name_that_is_taken_meanwhile_takes_all_back(tmp_path):
    def data():
        yield bytes(100)
        (tmp_path / SHARDS[1]).write_text("somebody else's")
        yield bytes(100)
        yield bytes(100)

    with pytest.raises(OutputExists, match=f"{SHARDS[1]} exists by now; --force"):
        write(tmp_path / "out.safetensors", SPECS, data(), {}, shard_size=100)
    assert listing(tmp_path) == [SHARDS[1]]
    assert (tmp_path / SHARDS[1]).read_text() == "somebody else's"


@pytest.mark.parametrize(
    "error", [OSError("power cut"), KeyboardInterrupt(), SystemExit(143)], ids=repr
)
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("force", [True, False])
def test_what_stops_halfway_leaves_all_as_it_was(
    tmp_path, monkeypatch, error, after, number, force
):
    if force:
        put(tmp_path, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail():
        raise error

    at_publishing(monkeypatch, number, after, fail)
    with pytest.raises(WriteFailed if isinstance(error, OSError) else type(error)):
        put(tmp_path, 2, force)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("number", range(4))
def test_an_index_never_lists_shards_of_two_generations(tmp_path, monkeypatch, number, after):
    put(tmp_path, 1)
    seen = []
    at_publishing(monkeypatch, number, after, lambda: seen.append(listing(tmp_path)))
    put(tmp_path, 2, force=True)
    assert (INDEX in seen[0]) == (number == 3 and after)
    assert listing(tmp_path) == ALL and generations(tmp_path) == {2}


def test_shards_replace_some_of_which_are_not_there(tmp_path):
    put(tmp_path, 1)
    (tmp_path / SHARDS[1]).unlink()
    put(tmp_path, 2, force=True)
    assert listing(tmp_path) == ALL and generations(tmp_path) == {2}


def test_a_folder_in_the_way_is_named_and_stays(tmp_path):
    put(tmp_path, 1)

    def data():
        yield bytes(100)
        (tmp_path / SHARDS[1]).unlink()
        (tmp_path / SHARDS[1]).mkdir()
        yield bytes(100)
        yield bytes(100)

    with pytest.raises(WriteFailed, match=f"{SHARDS[1]}: is a folder"):
        write(tmp_path / "out.safetensors", SPECS, data(), {}, force=True, shard_size=100)
    assert listing(tmp_path) == ALL and (tmp_path / SHARDS[1]).is_dir()
    (tmp_path / SHARDS[1]).rmdir()
    assert generations(tmp_path) == {1}


@pytest.mark.parametrize("number", range(4))
def test_of_two_writers_of_the_same_shards_the_last_one_wins(tmp_path, monkeypatch, number):
    second = Thread(target=put, args=(tmp_path, 2, True))

    def come_in_between():
        second.start()
        second.join(0.2)  # what it would take without waiting

    at_publishing(monkeypatch, number, True, come_in_between)
    put(tmp_path, 1)
    second.join()
    assert listing(tmp_path) == ALL and generations(tmp_path) == {2}


def test_an_index_that_changes_and_gets_its_old_time_back_is_another(tmp_path, monkeypatch):
    put(tmp_path, 1)
    index, before = tmp_path / INDEX, (tmp_path / INDEX).stat()
    real = Checkpoint._add

    def add(self: Checkpoint, part: object) -> None:
        while index.stat().st_ctime_ns == before.st_ctime_ns:  # the system's clock ticks slowly
            index.write_text(index.read_text())
            os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
        real(self, part)

    monkeypatch.setattr(Checkpoint, "_add", add)
    with pytest.raises(BadCheckpoint, match="replaced while its shards were opened"):
        Checkpoint(index)


@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("opened", range(3))
def test_a_reader_never_gets_shards_of_two_generations(tmp_path, monkeypatch, opened, replaced):
    """All of them are replaced after it has opened some; or the index is gone so far."""
    put(tmp_path, 1)
    real, calls = Checkpoint._add, []

    def add(self: Checkpoint, part: object) -> None:
        calls.append(part)
        if len(calls) == opened + 1:
            put(tmp_path, 2, force=True) if replaced else (tmp_path / INDEX).unlink()
        real(self, part)

    monkeypatch.setattr(Checkpoint, "_add", add)
    with pytest.raises(BadCheckpoint, match="replaced while its shards were opened"):
        Checkpoint(tmp_path / INDEX)


def test_where_a_folder_cannot_be_locked_shards_are_written_all_the_same(tmp_path, monkeypatch):
    def flock(fd: int, how: int) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    put(tmp_path, 1)
    assert listing(tmp_path) == ALL


def test_the_file_that_is_replaced_may_vanish_at_any_moment(tmp_path, monkeypatch):
    new = NewFile(tmp_path / "out", 0)
    monkeypatch.setattr(Path, "exists", lambda path: True)
    new.seal()
    new.publish(replace=True)
    new.discard()
    assert listing(tmp_path) == ["out"]
