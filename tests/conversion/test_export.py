"""`export` of a checkpoint as a user types it: what is refused, what comes along and is said."""

import gzip
import json

import pytest
from refusal import refused
from tiny_model import random_mini, tiny_tokenizer
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint, ledger, write_edited


def run(*args):
    return CliRunner().invoke(app, ["export", *(str(arg) for arg in args)])


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    return random_mini(tmp_path_factory.mktemp("mini") / "one.safetensors")


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_checkpoint_goes_into_the_spelling_that_it_has_not(mini):
    result = run(mini)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "one.export\n", "")
    result = run("one.export", "--json", "--force")
    report = json.loads(result.stdout)
    assert report["output"] == "one.export.export.safetensors" and report["format"] == "single"
    assert report["left_out"] == report["lacking"] == [] and report["tensors"] == 456


@pytest.mark.parametrize(
    "options, said",
    [
        (["--format", "lora"], "is a whole checkpoint: --format diffusers or single"),
        (["--format", "single"], "has a single file's names already; --format diffusers"),
        (["--format", "ckpt"], "it must be diffusers or single"),
        (["--rank", "4"], "--rank is not of --format diffusers"),
        (["--keys", "peft"], "--keys is not of --format diffusers"),
        (["-o", "one.safetensors"], "no folder's name"),
        (["-o", "-"], "no folder's name"),
    ],
)
def test_what_is_of_the_other_sort_is_refused(mini, options, said, tmp_path):
    refused(run(mini, *options), said)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_stays(mini, tmp_path):
    (tmp_path / "there").mkdir()
    refused(run(mini, "-o", "there", "--force"), "a folder is never overwritten")
    assert not list((tmp_path / "there").iterdir())


def test_a_schedule_that_no_marker_stands_for_is_not_lost(mini, tmp_path):
    assert run(mini, "-o", "folder").exit_code == 0
    path = tmp_path / "folder/scheduler/scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "sample"}))
    refused(run("folder", "-o", "one.safetensors"), "prediction_type sample; supported are")
    assert not (tmp_path / "one.safetensors").exists()


def test_the_ledger_travels_and_hashes_of_the_old_file_do_not(mini, tmp_path):
    line = ledger.entry("erase", {}, "0" * 64, concepts=["Van Gogh"])
    stale = {"sshs_model_hash": "1", "modelspec.hash_sha256": "0x1", "modelspec.author": "me"}
    with Checkpoint(mini) as base:
        metadata = ledger.append(base.metadata, line) | stale
        write_edited("edited.safetensors", base, {}, metadata=metadata)
    assert run("edited.safetensors", "-o", "folder").exit_code == 0
    assert run("folder", "-o", "back.safetensors").exit_code == 0
    for name in ("folder", "back.safetensors"):
        with Checkpoint(name) as found:
            assert found.ledger == [line] and found.metadata["modelspec.author"] == "me"
            assert not {"sshs_model_hash", "modelspec.hash_sha256"} & found.metadata.keys()


@pytest.mark.parametrize("model", ["sdxl"], indirect=True)
def test_tokenizers_are_copied_from_a_pipeline_a_folder_or_beside_the_checkpoint(model, tmp_path):
    tiny_tokenizer().save_pretrained(tmp_path / "words")
    given = {"a pipeline": model.theirs, "a folder": tmp_path / "words"}
    for name, where in given.items():
        run(model.single, "-o", name, "--tokenizer", where)
        for part in ("tokenizer", "tokenizer_2"):
            files = {path.name: path.read_bytes() for path in (tmp_path / name / part).iterdir()}
            assert files["tokenizer.json"] == (tmp_path / "words/tokenizer.json").read_bytes()
            pad = "!" if part == "tokenizer_2" else "<|endoftext|>"
            assert json.loads(files["tokenizer_config.json"])["pad_token"] == pad
    single = tmp_path / "one.safetensors"
    single.symlink_to(model.single)
    (tmp_path / "tokenizer").symlink_to(tmp_path / "words")
    result = run(single, "-o", "beside")
    assert result.stderr == ""
    for part in ("tokenizer", "tokenizer_2"):
        assert (tmp_path / "beside" / part / "tokenizer.json").is_file()


@pytest.mark.parametrize("model", ["sd1"], indirect=True)
def test_a_tokenizer_of_another_size_is_refused_and_none_is_a_note(model, tmp_path):
    from ckptedit.families import MINI

    refused(run(model.single, "-o", "f", "--tokenizer", MINI.folder), "is the tokenizer of 1204")
    refused(run(model.single, "-o", "f", "--tokenizer", tmp_path), "no tokenizer in")
    result = run(model.single, "-o", "f")
    assert result.exit_code == 0 and "the folder has no tokenizer, give it with" in result.stderr
    assert not (tmp_path / "f/tokenizer").exists()


@pytest.mark.parametrize("model", ["sd1"], indirect=True)
def test_bare_words_and_merges_get_the_config_that_pipelines_need(model, tmp_path):
    """Without a length, diffusers pads prompts to 10^30 tokens."""
    from transformers import CLIPTokenizer

    whole = json.loads(tiny_tokenizer().backend_tokenizer.to_str())["model"]
    (tmp_path / "words").mkdir()
    (tmp_path / "words/vocab.json").write_text(json.dumps(tiny_tokenizer().get_vocab()))
    merges = "\n".join(["#version: 0.2", *map(" ".join, whole["merges"])])
    (tmp_path / "words/merges.txt").write_text(merges + "\n")
    run(model.single, "-o", "f", "--tokenizer", "words")
    found = CLIPTokenizer.from_pretrained(tmp_path / "f/tokenizer")
    assert found.model_max_length == 16 and found.pad_token == "<|endoftext|>"
    assert found("a cat").input_ids == tiny_tokenizer()("a cat").input_ids


def test_the_packed_words_of_open_clip_become_files_that_transformers_reads(tmp_path):
    from transformers import CLIPTokenizer

    from ckptedit.conversion.tokenizers import _files
    from ckptedit.families.family import Reader
    from ckptedit.text.tokenizer import byte_alphabet

    letters = byte_alphabet()
    pairs = [(first, second) for first in letters for second in letters][:48_894]
    lines = ["#version: 0.2", *(f"{first} {second}" for first, second in pairs)]
    path = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    config = {"vocab_size": 49_408, "max_position_embeddings": 77}
    for name, content in _files(path, Reader("", pad="!"), config):
        (tmp_path / name).write_bytes(content)
    found = CLIPTokenizer.from_pretrained(tmp_path)
    assert (len(found), found.model_max_length, found.pad_token_id) == (49_408, 77, 0)
    with pytest.raises(BadParam, match="the tokenizer of 49408 words; the text encoder has 530"):
        _files(path, Reader(""), config | {"vocab_size": 530})
