"""Any folder or file is a tokenizer that works, or one error."""

import gzip
import json
import random
import shutil
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_model import tiny_tokenizer

from ckptedit.errors import BadParam
from ckptedit.text.tokenizer import MERGES, load_tokenizer

FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer folder with all that one can have."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_tokenizer().save_pretrained(folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n")
    return folder


def works(folder: Path) -> bool:
    """Whether it loads; then it must do what an encoder asks of it."""
    try:
        tokenizer = load_tokenizer(folder)
    except BadParam as error:
        assert str(error).isprintable() and len(str(error)) < 1000
        return False
    vocabulary = range(len(tokenizer))
    for prompt in ("a cat in Van Gogh style", "", "ünknown \0"):
        row = tokenizer(prompt, verbose=False).input_ids
        assert row[0] == tokenizer.bos_token_id and row[-1] == tokenizer.eos_token_id
        assert all(number in vocabulary for number in [*row, tokenizer.pad_token_id])
    assert min(tokenizer.model_max_length, 77) > 2
    return True


def changed(whole: Path, folder: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """A copy in which one JSON file is changed; the file that transformers reads first is it."""
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    if name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer.json").unlink()
    content = (folder / name).read_text()
    made = change(json.loads(content) if name.endswith(".json") else content)
    (folder / name).write_text(made if isinstance(made, str) else json.dumps(made))
    return folder


@pytest.mark.parametrize("name", FILES)
def test_an_unchanged_folder_works(whole: Path, tmp_path: Path, name: str) -> None:
    assert works(changed(whole, tmp_path / "it", name, lambda table: table))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"{}", b"1e400", b"\xff", b"\0" * 100, b"[" * 100_000,
        b'{"a": ' * 5000, b'{"model_max_length": 1e400}', b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_files_of_anything_else_are_refused(
    whole: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = changed(whole, tmp_path / "it", name, lambda table: table)
    (folder / name).write_bytes(content)
    harmless = name == "tokenizer_config.json" and content == b"{}"
    assert harmless or not works(folder)


@pytest.mark.parametrize("name", [*FILES, "special_tokens_map.json", "added_tokens.json"])
@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null", ".", "loop"])
def test_links_to_what_is_no_file_are_refused(
    whole: Path, tmp_path: Path, name: str, target: str
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(whole, folder)
    if name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer.json").unlink()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(name if target == "loop" else target)
    assert not works(folder)


def test_what_transformers_does_not_need_is_not_read(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "it")
    with (tmp_path / "it" / "chat_template.jinja").open("wb") as file:
        file.truncate(1 << 40)
    assert works(tmp_path / "it")


@pytest.mark.parametrize(
    "name, change",
    [
        ("tokenizer_config.json", lambda table: table | {"model_max_length": "many"}),
        ("tokenizer_config.json", lambda table: table | {"model_max_length": -1}),
        ("tokenizer_config.json", lambda table: table | {"model_max_length": [77]}),
        ("tokenizer_config.json", lambda table: table | {"bos_token": 3}),
        ("tokenizer_config.json", lambda table: table | {"pad_token": ["a"]}),
        ("vocab.json", lambda table: {word: str(number) for word, number in table.items()}),
        ("vocab.json", lambda table: {word: -number for word, number in table.items()}),
        ("vocab.json", lambda table: {word: number * 1000 for word, number in table.items()}),
        ("vocab.json", lambda table: dict.fromkeys(table, 0)),
        ("merges.txt", lambda text: text + "one\n"),
        ("merges.txt", lambda text: text + "not in vocabulary\n"),
        ("tokenizer.json", lambda table: table | {"model": {"type": "BPE"}}),
        ("tokenizer.json", lambda table: table | {"model": 3}),
        ("tokenizer.json", lambda table: table | {"post_processor": None}),
        ("tokenizer.json", lambda table: table | {"added_tokens": [{"id": 10**9}]}),
        ("tokenizer.json", lambda table: {}),
    ],
)
def test_tables_of_the_wrong_things_work_or_are_refused(
    whole: Path, tmp_path: Path, name: str, change: Callable[[Any], Any]
) -> None:
    works(changed(whole, tmp_path / "it", name, change))


def test_merges_that_are_cut_short_are_refused(whole: Path, tmp_path: Path) -> None:
    """They would make other numbers of the same words, and nobody would notice."""

    def half(text: str) -> str:
        return "\n".join(text.splitlines()[: text.count("\n") // 2])

    cut = changed(whole, tmp_path / "it", "merges.txt", half)
    with pytest.raises(BadParam, match="are they cut short"):
        load_tokenizer(cut)


def test_a_vocabulary_with_holes_or_a_short_one_is_refused(whole: Path, tmp_path: Path) -> None:
    def holes(table: dict[str, int]) -> dict[str, int]:
        return {word: number * 1000 for word, number in table.items()}

    assert not works(changed(whole, tmp_path / "a", "vocab.json", holes))

    def no_padding(table: dict[str, Any]) -> dict[str, Any]:
        return table | {"pad_token": None}

    assert not works(changed(whole, tmp_path / "b", "tokenizer_config.json", no_padding))

    def short(table: dict[str, Any]) -> dict[str, Any]:
        return table | {"model_max_length": 2}

    assert not works(changed(whole, tmp_path / "c", "tokenizer_config.json", short))


def nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values inside of a JSON value."""
    found = [path]
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            found += nodes(item, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value[path[0]] = put(value[path[0]], path[1:], new)
    return value


ODD = st.sampled_from(
    [None, True, -1, 0, 10**19, 1.5, "", "a", "\0", "</w>", [], {}, [[]], [1], {"a": 1}]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["tokenizer.json", "tokenizer_config.json", "vocab.json"]), ODD,
       st.integers(0, 2**32), st.booleans())  # fmt: skip
def test_one_odd_value_anywhere_is_a_tokenizer_that_works_or_one_error(
    whole: Path, tmp_path: Path, name: str, odd: Any, seed: int, near_the_top: bool
) -> None:
    def change(table: Any) -> Any:
        ways = [way for way in nodes(table) if not near_the_top or len(way) < 3]
        return put(table, random.Random(seed).choice(ways), odd)

    works(changed(whole, tmp_path / "it", name, change))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.binary(max_size=50), st.integers(0, 60))
def test_any_bytes_are_no_gz_tokenizer(tmp_path: Path, text: bytes, junk: bytes, cut: int) -> None:
    path = tmp_path / "it.gz"
    packed = gzip.compress(text)
    for content in (text, packed, packed[:cut], packed[:cut] + junk + packed[cut:]):
        path.write_bytes(content)
        with pytest.raises(BadParam, match=r"it\.gz"):
            load_tokenizer(path)


def test_a_gz_file_that_unpacks_without_end_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    packer = zlib.compressobj(wbits=31)
    with path.open("wb") as file:
        for _ in range(200):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    tracemalloc.start()
    with pytest.raises(BadParam, match="more than"):
        load_tokenizer(path)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/nowhere", "a\0b", "x" * 5000])
def test_what_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(BadParam, match="give a folder"):
        load_tokenizer(Path(path))


def test_merges_that_are_no_pairs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.gz"
    path.write_bytes(gzip.compress(b"#\n" + b"a b c\n" * MERGES))
    with pytest.raises(BadParam, match="does not hold"):
        load_tokenizer(path)
