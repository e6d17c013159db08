"""kill -9 at every step of writing: the next run on the same target finds order, or makes it."""

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ckptedit.errors import OutputExists, WriteFailed
from ckptedit.files import Checkpoint, Spec, check_output, publish, write, write_edited
from ckptedit.files.leftovers import hidden_name, recover
from tests.files.conftest import listing
from tests.files.test_hazards import naming
from tests.files.test_layout import folder, save

__all__ = ["folder", "naming"]  # fixtures; the second runs all of these both ways

STEPS = ("open", "link", "replace", "rename", "unlink", "mkdir", "rmdir")  # what changes names
SIZES = {1: 300, 2: 200, 3: 100}  # shards -> bytes of each


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    """What is killed is a process, not the machine."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def put(folder: Path, value: int, shards: int, name: str = "out.safetensors") -> None:
    specs = [Spec(str(i), "U8", (100,)) for i in range(3)]
    size = SIZES[shards] if shards > 1 else None
    data = [np.full(100, value, np.uint8)] * 3
    write(folder / name, specs, data, {}, force=True, shard_size=size)


def killed_at(step: int, job: Callable[[], None]) -> bool:
    """Runs a job in a process that is killed before its call of that number to the system."""
    child = os.fork()
    if child == 0:
        count = itertools.count()

        def dying(real):
            def call(*arguments, **options):
                if next(count) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        for name in STEPS:
            setattr(os, name, dying(getattr(os, name)))
        try:
            job()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("old, new", [(1, 1), (1, 2), (3, 2), (2, 3)])
def test_after_kill_9_the_next_run_finds_the_old_output_or_the_new(tmp_path, old, new):
    """A set is whole again, erased weights are nowhere, and nothing hidden is left."""
    whole, work = {}, tmp_path / "work"
    for value, shards in ((1, old), (2, new)):
        expected = tmp_path / str(value)
        expected.mkdir()
        if shards:
            put(expected, value, shards)
        whole[value] = state(expected)
    for step in itertools.count():
        work.mkdir()
        if old:
            put(work, 1, old)
        died = killed_at(step, lambda: put(work, 2, new))
        recover(work / "out.safetensors")
        assert state(work) in ([whole[1], whole[2]] if died else [whole[2]]), (step, listing(work))
        for path in work.iterdir():
            path.unlink()
        work.rmdir()
        if not died:
            break
    assert step > 3


def test_the_next_run_itself_may_be_killed(tmp_path, naming):
    """While it restores, at every step."""
    if naming == "named":
        return  # from there on it is the same
    (tmp_path / "after").mkdir()
    put(tmp_path / "after", 2, 2)
    after = state(tmp_path / "after")
    for first in (15, 19):
        for step in itertools.count():
            work = tmp_path / f"{first}-{step}"
            work.mkdir()
            put(work, 1, 3)
            before = state(work)
            killed_at(first, lambda work=work: put(work, 2, 2))
            target = work / "out.safetensors"
            died = killed_at(step, lambda target=target: recover(target))
            recover(target)
            assert state(work) in (before, after), (first, step, listing(work))
            if not died:
                break


def test_what_a_living_process_writes_is_left_alone(tmp_path, naming):
    out = tmp_path / "out.safetensors"

    def data():
        for _ in range(3):
            check_output(out, force=True, in_place=False)
            yield bytes(100)

    write(out, [Spec(str(i), "U8", (100,)) for i in range(3)], data(), {})
    assert listing(tmp_path) == [out.name]


def test_of_other_targets_nothing_is_touched(tmp_path):
    others = [hidden_name(tmp_path / name) for name in ("other", "out-x", "out.safetensorsx")]
    others += [hidden_name(tmp_path / "other-00001-of-00002.safetensors", "old")]
    for path in others:
        path.touch()
    mine = hidden_name(tmp_path / "out.safetensors")
    mine.touch()
    put(tmp_path, 1, 1)
    assert listing(tmp_path) == sorted([*(path.name for path in others), "out.safetensors"])


def test_a_folder_that_was_half_written_goes(folder, tmp_path):
    base = Checkpoint(folder)
    for step in itertools.count():
        died = killed_at(step, lambda: write_edited(tmp_path / "out", base, {}))
        recover(tmp_path / "out")
        left = set(listing(tmp_path)) - {"pipe"}
        if not died:
            break
        assert left in (set(), {"out"}), step
        if left:
            break
    assert step > 5 and left == {"out"}


def test_fewer_shards_leave_none_of_the_old(tmp_path):
    put(tmp_path, 1, 3)
    save(tmp_path / "out-of-order.safetensors", a=1)
    put(tmp_path, 2, 2)
    names = ["out-00001-of-00002", "out-00002-of-00002", "out-of-order"]
    index = "out.safetensors.index.json"
    assert listing(tmp_path) == [*(f"{name}.safetensors" for name in names), index]


def test_an_index_cannot_make_other_files_go(tmp_path):
    """It may list whatever it wants: only what has the name of one of its shards is replaced."""
    put(tmp_path, 1, 2)
    save(tmp_path / "precious.safetensors", a=1)
    (tmp_path / "out.safetensors.index.json").write_text(
        '{"weight_map": {"a": "precious.safetensors", "b": "out-00001-of-00002.safetensors"}}'
    )
    put(tmp_path, 2, 3)
    assert "precious.safetensors" in listing(tmp_path)


def test_an_input_among_the_old_shards_is_not_removed(tmp_path):
    put(tmp_path, 1, 3)
    old = tmp_path / "out-00003-of-00003.safetensors"
    before = state(tmp_path)
    with pytest.raises(OutputExists, match="is an input"):
        specs = [Spec(str(i), "U8", (100,)) for i in range(3)]
        write(tmp_path / "out.safetensors.index.json", specs, [bytes(100)] * 3, {},
              force=True, inputs=[Checkpoint(old)])  # fmt: skip
    assert state(tmp_path) == before


def test_a_file_whose_folder_cannot_be_synced_is_said_to_be_there(tmp_path, monkeypatch):
    def fail(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(publish, "sync_folder", fail)
    with pytest.raises(WriteFailed, match=r"is written, but may not survive a power cut \(Input"):
        put(tmp_path, 1, 1)
    assert listing(tmp_path) == ["out.safetensors"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("shards", [1, 2])
def test_a_replaced_file_keeps_owner_and_group(tmp_path, shards):
    put(tmp_path, 1, shards)
    for path in tmp_path.iterdir():
        os.chown(path, 1234, 2345)
    put(tmp_path, 2, shards)
    assert {(p.stat().st_uid, p.stat().st_gid) for p in tmp_path.iterdir()} == {(1234, 2345)}


@pytest.mark.parametrize("length", [200, 240])
def test_names_may_be_as_long_as_the_system_lets_them(tmp_path, length):
    put(tmp_path, 1, 1, "n" * length)
    put(tmp_path, 2, 1, "n" * length)
    assert listing(tmp_path) == ["n" * length]
