"""Lists in files: what anybody may have written there, and what nobody should."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.lists import lines_of, listed, read_names
from ckptedit.errors import BadParam, CkptError
from ckptedit.families import MINI
from ckptedit.files import escape

CONTENTS = {
    "plain": b"Van Gogh\nMonet\n",
    "byte order mark": b"\xef\xbb\xbfVan Gogh\nMonet",
    "CRLF": b"Van Gogh\r\nMonet\r\n",
    "comments": b"# painters\n\nVan Gogh  # the first\n\t Monet\t#second\n  # end",
    "wide gaps": b"Van\t Gogh\n\xc2\xa0Monet\n",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_list_is_its_names_however_it_was_saved(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    assert listed([f"@{path}", "Neon"]) == ["Van Gogh", "Monet", "Neon"]


def test_a_sharp_inside_a_name_is_no_comment() -> None:
    assert lines_of("C#\nF#m #minor\n#all") == ["C#", "F#m"]


def test_no_option_is_no_name_and_an_empty_list_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert listed(None) == [] == listed([f"@{tmp_path / 'empty'}"])


def test_a_list_may_come_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write = (tmp_path / "pipe").write_bytes
    writer = threading.Thread(target=write, args=(b"Monet\n",), daemon=True)
    writer.start()
    assert listed([f"@{tmp_path / 'pipe'}"]) == ["Monet"]
    writer.join()


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda path: path.mkdir(), "folder"),
        (lambda path: None, "no such file"),
        (lambda path: path.symlink_to("/dev/zero"), "device"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "UTF-8"),
        (lambda path: path.write_bytes(b"a" * (1 << 20) + b"b"), "bytes"),
        (lambda path: path.write_bytes(b"Mo\x1b[31mnet"), "no text"),
    ],
    ids=["folder", "nothing", "endless", "UTF-16", "huge", "escape codes"],
)
def test_what_is_no_list_is_refused(tmp_path: Path, make, said: str) -> None:
    path = tmp_path / "names.txt"
    make(path)
    with pytest.raises(BadParam, match=said) as caught:
        listed([f"@{path}"])
    assert str(caught.value).isprintable()
    with pytest.raises(BadParam, match="no text"):
        listed(["Mo\udc80net"])  # bytes on the command line that are not UTF-8


@given(st.binary(max_size=200))
def test_any_file_is_a_list_of_clean_names_or_one_error(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    path.write_bytes(content)
    try:
        names = read_names(path)
    except BadParam as error:
        assert escape(error) == str(error).replace("\\", "\\\\") or str(error).isprintable()
    else:
        assert all(name and name == name.strip() and name.encode() for name in names)


@given(st.binary(max_size=100) | st.sampled_from([b"[style]\nx\n[object]\n", b"[mood]\nx"]))
def test_any_lexicon_is_concepts_by_kind_or_one_error(tmp_path_factory, content: bytes) -> None:

    path = tmp_path_factory.getbasetemp() / f"lexicon-{content.hex()}"[:200]
    path.write_bytes(content)
    try:
        found = list(lexicon_of(MINI, path))
    except CkptError as error:
        assert str(error).isprintable()
    else:
        assert all(found)


def test_a_lexicon_has_comments_and_each_name_once(tmp_path: Path) -> None:

    path = tmp_path / "own.txt"
    path.write_bytes(b"\xef\xbb\xbf[style]\r\nNeon # bright\r\nneon\r\n[ object ]\r\nCat\r\n")
    found = lexicon_of(MINI, path)
    assert (found.styles, found.objects) == (("Neon",), ("Cat",))
    path = tmp_path / "bad.txt"
    path.write_text("[styles]\nNeon")
    with pytest.raises(BadParam, match=r"'?\[styles\]'? is in no"):
        lexicon_of(MINI, path)
