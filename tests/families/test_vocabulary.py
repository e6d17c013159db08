"""A tokenizer is found where it may be, in this order, and nothing of the wrong size counts."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from ckptedit.errors import BadParam
from ckptedit.families import MINI, SD1, vocabulary
from ckptedit.families.vocabulary import (
    BESIDE,
    CACHED,
    CLIP_TOKENS,
    DOWNLOADED,
    GIVEN,
    GZ,
    INSTALLED,
    SHIPPED,
    Vocabulary,
    find_vocabulary,
)
from ckptedit.files import Checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """One in a folder of its own, on a machine that has no tokenizer."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(vocabulary, "find_spec", lambda name: None)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "base.safetensors"
    save_file({"x": np.zeros(1)}, path)
    return Checkpoint(path)


def words(folder: Path, count: int = CLIP_TOKENS, *, merges: bool = True) -> Path:
    """The two old files of a tokenizer, or the one without merges."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({f"w{i}": i for i in range(count)}))
    if merges:
        (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    return folder


def one_file(folder: Path, count: int = CLIP_TOKENS, merges: tuple[str, ...] = ("a b",)) -> Path:
    """The new file of a tokenizer, two of its tokens among those that were added."""
    folder.mkdir(parents=True, exist_ok=True)
    model = {"vocab": {f"w{i}": i for i in range(count - 2)}, "merges": list(merges)}
    added = [{"id": count - 2}, {"id": count - 1}]
    (folder / "tokenizer.json").write_text(json.dumps({"model": model, "added_tokens": added}))
    return folder


def snapshot(tmp_path: Path, model: str) -> Path:
    return tmp_path / "hub" / f"models--{model}" / "snapshots" / "0123"


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site" / "open_clip"
    folder.mkdir(parents=True)
    (folder / GZ).write_bytes(b"")
    (folder / "__init__.py").write_text("raise ImportError('imported')")
    spec = SimpleNamespace(submodule_search_locations=[str(folder)])
    monkeypatch.setattr(vocabulary, "find_spec", {"open_clip": spec}.get)
    return folder / GZ


def test_each_place_comes_before_the_next(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadParam, match=r"give --tokenizer PATH.* or --allow-download"):
        find_vocabulary(checkpoint, SD1)
    gz = installed(tmp_path, monkeypatch)
    assert find_vocabulary(checkpoint, SD1) == Vocabulary(gz, INSTALLED)
    cached = words(snapshot(tmp_path, "b--b") / "tokenizer")
    assert find_vocabulary(checkpoint, SD1) == Vocabulary(cached, CACHED)
    beside = words(tmp_path / "models")
    assert find_vocabulary(checkpoint, SD1) == Vocabulary(beside, BESIDE)
    folder = words(tmp_path / "models" / "tokenizer", 3)  # it says what it is: refused when loaded
    assert find_vocabulary(checkpoint, SD1) == Vocabulary(folder, BESIDE)
    given = tmp_path / "anything"
    assert find_vocabulary(checkpoint, SD1, given) == Vocabulary(given, GIVEN)
    assert find_vocabulary(checkpoint, SD1, Vocabulary(folder, BESIDE)).source == BESIDE
    assert "open_clip" not in sys.modules


def test_what_ships_with_a_family_needs_no_search(checkpoint: Checkpoint, tmp_path: Path) -> None:
    words(snapshot(tmp_path, "b--b") / "tokenizer")
    assert find_vocabulary(checkpoint, MINI).source == SHIPPED


@pytest.mark.parametrize("make", [words, one_file])
def test_what_is_of_another_size_or_has_no_merges_is_passed_over(
    checkpoint: Checkpoint, tmp_path: Path, make: type[Path]
) -> None:
    make(snapshot(tmp_path, "a--small") / "tokenizer", 1000)
    make(tmp_path / "models", CLIP_TOKENS - 1)
    words(snapshot(tmp_path, "b--half"), merges=False)
    one_file(snapshot(tmp_path, "c--empty"), merges=())
    (snapshot(tmp_path, "d--odd") / "tokenizer").mkdir(parents=True)
    (snapshot(tmp_path, "d--odd") / "tokenizer" / "tokenizer.json").write_text("[3]")
    right = make(snapshot(tmp_path, "e--whole"))
    assert find_vocabulary(checkpoint, SD1) == Vocabulary(right, CACHED)


def test_the_gz_file_next_to_a_checkpoint_counts(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "models" / GZ).write_bytes(b"")
    assert find_vocabulary(checkpoint, SD1) == Vocabulary(tmp_path / "models" / GZ, BESIDE)


def test_the_cache_is_where_hugging_face_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    place = tmp_path / "home" / "hub" / "models--a--b" / "snapshots" / "1"
    (place / "tokenizer").mkdir(parents=True)
    assert list(vocabulary._cached()) == [place / "tokenizer", place]
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "xdg").mkdir()
    (tmp_path / "home").rename(tmp_path / "xdg" / "huggingface")
    assert [path.name for path in vocabulary._cached()] == ["tokenizer", "1"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was asked of the hub."""
    asked: list[str] = []

    def download(repository: str, name: str) -> str:
        asked.append(f"{repository}/{name}")
        return str(words(tmp_path / "fetched") / name)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield asked


def test_only_what_is_allowed_is_downloaded_and_only_if_there_is_none(
    checkpoint: Checkpoint, tmp_path: Path, hub: list[str]
) -> None:
    with pytest.raises(BadParam):
        find_vocabulary(checkpoint, SD1)
    assert not hub
    found = find_vocabulary(checkpoint, SD1, download=True)
    assert found == Vocabulary(tmp_path / "fetched", DOWNLOADED)
    assert {"vocab.json", "merges.txt"} <= {name.rpartition("/")[2] for name in hub}
    hub.clear()
    words(tmp_path / "models")
    assert find_vocabulary(checkpoint, SD1, download=True).source == BESIDE
    assert not hub


def test_a_download_that_fails_is_one_line(
    checkpoint: Checkpoint, hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(repository: str, name: str) -> str:
        raise OSError("no network\nand a long story")

    monkeypatch.setattr(sys.modules["huggingface_hub"], "hf_hub_download", fail)
    with pytest.raises(BadParam, match=r"could not download .*\(no network\); give --tokenizer"):
        find_vocabulary(checkpoint, SD1, download=True)
