"""The ledger: what was done, in order, without paths and times."""

import json
from pathlib import Path

import pytest

from ckptedit import __version__
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.files import Checkpoint, ledger
from tests.files.conftest import raw_file


@pytest.fixture(autouse=True)
def no_date(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


def test_entries_come_back_oldest_first():
    first = ledger.entry("erase", {"steps": 3}, "ab", seed=0, concepts=["Van Gogh"], kind="style")
    second = ledger.entry("merge", {"method": "ties"}, "cd")
    metadata = ledger.append(ledger.append({}, first), second)
    assert ledger.read(metadata) == [first, second]


def test_an_entry_says_what_was_done_to_what():
    assert ledger.entry("erase", {"steps": 3}, "ab", seed=0, concepts=["Van Gogh"]) == {
        "operation": "erase",
        "options": {"steps": 3},
        "parent_sha256": "ab",
        "tool": f"ckptedit {__version__}",
        "seed": 0,
        "concepts": ["Van Gogh"],
    }


def test_foreign_metadata_stays_and_a_format_is_there():
    line = ledger.entry("erase", {}, "ab")
    assert ledger.append({"a": "1"}, line).keys() == {"a", "format", ledger.KEY}
    assert ledger.append({"format": "tf"}, line)["format"] == "tf"


def test_the_argument_is_not_changed():
    metadata = {"a": "1"}
    ledger.append(metadata, ledger.entry("erase", {}, "ab"))
    assert metadata == {"a": "1"}


def test_it_is_written_in_these_very_characters():
    line = {"b": [1, 0.1], "a": "é"}
    assert ledger.append({}, line)[ledger.KEY] == '[{"a":"\\u00e9","b":[1,0.1]}]'


def test_of_a_path_only_the_name_is_kept():
    options = {"retain": [Path("/home/me/list.txt")], "deep": {"out": Path("/tmp/x")}, "n": (1, 2)}
    line = ledger.entry("erase", options, "ab", source=Path("/secret/base.safetensors"))
    assert line["options"] == {"retain": ["list.txt"], "deep": {"out": "x"}, "n": [1, 2]}
    assert "/" not in json.dumps(line)


def test_a_date_is_written_only_where_it_is_fixed(monkeypatch):
    assert "date" not in ledger.entry("erase", {}, "ab")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1577836800")
    assert ledger.entry("erase", {}, "ab")["date"] == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("epoch", ["yesterday", "1e99", "9" * 30])
def test_a_date_that_is_none_is_refused(monkeypatch, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(BadParam, match="SOURCE_DATE_EPOCH"):
        ledger.entry("erase", {}, "ab")


@pytest.mark.parametrize(
    "text",
    [
        *["", "{}", "[1]", "nonsense", "[" * 100_000, '"x"', "null"],
        *['[{"a":NaN}]', '[{"a":[-Infinity]}]', '[{"a":1e999}]', '[{"a":"\\ud800"}]'],
        *['[{"concepts":5}]', '[{"concepts":"abc"}]', '[{"concepts":[["x"]]}]', '[{"retain":1}]'],
        *['[{"asked":1}]', '[{"changed":[2]}]', '[{"operation":["erase"]}]'],
        *['[{"taken_out":null}]', '[{},{"taken_out":[1]}]'],
        *['[{"taken_out":["0"]}]', '[{"added":"0"}]', '[{"inputs":[{"ledger":[1]}]}]'],
        *[f'[{{"a":{"[" * 500}{"]" * 500}}}]', f'[{{"a":{"9" * 5000}}}]'],
    ],
)
def test_a_malformed_ledger_is_refused_with_the_files_name(tmp_path, text):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(raw_file({"__metadata__": {ledger.KEY: text}}))
    with pytest.raises(BadCheckpoint, match=r"odd\.safetensors: the ledger in its metadata"):
        Checkpoint(path).ledger  # noqa: B018


def test_a_checkpoint_without_one_has_an_empty_ledger(base):
    assert Checkpoint(base).ledger == []


def test_what_names_the_old_file_goes():
    stale = dict.fromkeys(["sshs_legacy_hash", "modelspec.hash_sha256", "modelspec.thumbnail"], "1")
    assert ledger.without_identity(stale | {"ss_output_name": "x"}) == {"ss_output_name": "x"}
