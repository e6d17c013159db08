"""The cache: what comes out of it is what went in, or it is made anew and a line says why."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import load_file

from ckptedit.files import Spec, write
from ckptedit.files import cache as module
from ckptedit.files.cache import cache_folder, cached, digest

OLD = {"latents": np.arange(6, dtype=np.float32).reshape(2, 3), "t": np.array([3, 1])}
NEW = {"latents": np.full((2, 3), 7, np.float32), "t": np.array([0, 0])}


@pytest.fixture(autouse=True)
def only_what_a_user_hears_of(caplog: pytest.LogCaptureFixture) -> None:
    """Some libraries set the root's level when they are imported."""
    caplog.set_level(logging.WARNING, logger="ckptedit")


def entry(folder: Path) -> Path:
    (path,) = folder.glob("*.cached.safetensors")
    return path


def ask(make: Callable[[], object] = lambda: NEW, key: str = "a" * 64) -> object:
    return cached("bank", key, make)  # type: ignore[call-overload]


def same(found: object, wanted: dict[str, np.ndarray]) -> bool:
    assert isinstance(found, dict)
    return list(found) == list(wanted) and all(
        found[n].dtype == wanted[n].dtype and np.array_equal(found[n], wanted[n]) for n in wanted
    )


def unmade() -> object:
    raise AssertionError("made again, though it is kept")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1),
        arrays_of.arrays(
            st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_]),
            arrays_of.array_shapes(min_dims=0, min_side=0),
            elements={"allow_nan": False, "allow_infinity": False},
        ),
    )
)
def test_what_was_made_comes_back_in_every_bit(
    own_cache: Path, table: dict[str, np.ndarray]
) -> None:
    key = digest([str(table)])
    table.pop("__metadata__", None)
    assert same(ask(lambda: table, key), table)
    assert same(ask(unmade, key), table)


def test_one_array_comes_back_as_one_array(own_cache: Path) -> None:
    key, made = "b" * 64, np.arange(6.0).reshape(2, 3).T  # in the order of columns
    assert cached("moment", key, lambda: made) is made
    found = cached("moment", key, lambda: made * 0)
    assert isinstance(found, np.ndarray) and np.array_equal(found, made)
    assert same(cached("table", key, lambda: {"array": made}), {"array": made})
    assert same(cached("table", key, lambda: {}), {"array": made})


def test_an_entry_is_a_safetensors_file_that_only_its_owner_reads(own_cache: Path) -> None:
    usual = os.umask(0)  # as lax as can be
    try:
        ask(lambda: OLD)
    finally:
        os.umask(usual)
    assert same(load_file(entry(own_cache)), OLD)
    assert entry(own_cache).stat().st_mode & 0o777 == 0o600
    assert own_cache.stat().st_mode & 0o777 == 0o700
    assert same(ask(unmade), OLD)


def damages() -> dict[str, Callable[[bytes], bytes]]:
    def swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
        def damage(content: bytes) -> bytes:
            assert old in content and len(old) == len(new)
            return content.replace(old, new, 1)

        return damage

    return {
        "cut": lambda content: content[:-1],
        "empty": lambda content: b"",
        "text": lambda content: b"not an array",
        "longer": lambda content: content + b"\0",
        "zeroed": lambda content: content[:-24] + bytes(24),
        "one bit": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        "shape": swap(b"[2,3]", b"[3,2]"),
        "dtype": swap(b'"F32"', b'"I32"'),
        "dtype of as many bytes": swap(b'"I64","shape":[2]', b'"F64","shape":[2]'),
        "name": swap(b'"latents"', b'"letants"'),
        "form": swap(b'"table"', b'"array"'),
        "no digest": swap(b"ckptedit.sha256", b"ckptedit.sha257"),
    }


@pytest.mark.parametrize("kind", damages())
def test_a_damaged_entry_is_made_anew_with_one_line(
    own_cache: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    ask(lambda: OLD)
    path = entry(own_cache)
    path.write_bytes(damages()[kind](path.read_bytes()))
    assert same(ask(), NEW)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith(f"the cached bank is made anew: {path}: ")
    assert same(ask(unmade), NEW)  # and is good from now on
    assert len(caplog.records) == 1


def test_an_entry_of_a_dtype_that_numpy_lacks_is_made_anew(own_cache: Path) -> None:
    ask(lambda: OLD)
    write(entry(own_cache), [Spec("a", "BF16", (2,))], [bytes(4)], {}, force=True)
    assert same(ask(), NEW)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_kept(
    own_cache: Path, caplog: pytest.LogCaptureFixture, value: float
) -> None:
    sick = {"a": np.ones(2), "b": np.array([1, value], np.float16)}
    assert ask(lambda: sick) is sick
    assert not list(own_cache.iterdir()) and "holds NaN or Inf" in caplog.text
    assert same(ask(), NEW)


def test_an_entry_that_is_whole_but_not_finite_is_made_anew(
    own_cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_finite", lambda array: True)
        ask(lambda: {"a": np.array([np.nan])})
    assert same(ask(), NEW) and "holds NaN or Inf" in caplog.text


def test_another_key_is_another_entry(own_cache: Path) -> None:
    ask(lambda: OLD)
    assert same(ask(key="b" * 64), NEW) and same(ask(unmade), OLD)
    assert same(ask(lambda: NEW, key="a" * 63 + "b"), NEW)  # of the same file name


@pytest.mark.parametrize("whose", ["folder", "file"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_can_write_to_is_not_used(
    own_cache: Path, caplog: pytest.LogCaptureFixture, whose: str, mode: int
) -> None:
    ask(lambda: OLD)
    path = entry(own_cache) if whose == "file" else own_cache
    path.chmod(path.stat().st_mode | mode)
    assert same(ask(), NEW)
    assert len(caplog.messages) == 1
    assert f"{path}: others can write to it (chmod go-w)" in caplog.messages[0]
    path.chmod(0o700)
    assert same(ask(unmade), OLD if whose == "folder" else NEW)


@pytest.mark.parametrize("whose", ["folder", "file"])
def test_what_belongs_to_another_user_is_not_used(
    own_cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    ask(lambda: OLD)
    if whose == "folder":
        stranger = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: stranger)
    elif os.geteuid() != 0:
        pytest.skip("only root can give files away")
    else:
        os.chown(entry(own_cache), 12345, -1)
    assert same(ask(), NEW)
    assert len(caplog.messages) == 1 and "belongs to another user" in caplog.messages[0]


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CKPTEDIT_CACHE", str(tmp_path / "file" / "cache"))
    assert same(ask(), NEW)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("no cache: ")


def test_a_full_disk_costs_time_only_and_leaves_nothing(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert same(ask(), NEW)
    assert not list(own_cache.iterdir())
    assert len(caplog.messages) == 1 and "No space left on device" in caplog.messages[0]


def test_without_a_home_there_is_no_cache(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CKPTEDIT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert same(ask(), NEW) and len(caplog.messages) == 1


def test_the_folder_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKPTEDIT_CACHE", "/a")
    assert cache_folder() == Path("/a")
    monkeypatch.setenv("CKPTEDIT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/b/ckptedit")
    for relative in ("", "b"):  # as its specification wants
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert cache_folder() == Path.home() / ".cache" / "ckptedit"


def test_what_was_not_used_for_longest_goes_first_and_other_files_stay(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(lambda: OLD, "a" * 64)
    size = entry(own_cache).stat().st_size
    (own_cache / "model.safetensors").write_bytes(bytes(10 * size))
    monkeypatch.setattr(module, "MAX_TOTAL", 2 * size)
    ask(lambda: OLD, "b" * 64)
    for age, path in enumerate(sorted(own_cache.glob("bank-*"), reverse=True)):
        os.utime(path, (100 - age, 100 - age))  # b is the newer
    ask(unmade, "a" * 64)  # but a is used
    ask(lambda: OLD, "c" * 64)
    kept = sorted(path.name[:6] for path in own_cache.glob("bank-*"))
    assert kept == ["bank-a", "bank-c"]
    assert (own_cache / "model.safetensors").exists()


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest([np.arange(3)]) == digest([np.arange(3).tobytes()])
