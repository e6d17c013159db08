"""`audit` of checkpoints whose text encoder is elsewhere."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from refusal import refused
from safetensors.torch import load_file, save_file
from transformer_files import LEXICON, NARROW, checkpoint, pipeline
from typer.testing import CliRunner, Result

from ckptedit.audits import PROBES, QUICK
from ckptedit.cli import app
from ckptedit.families import FAMILIES
from ckptedit.files import Checkpoint
from ckptedit.text.outside import load_outside

CLOSED = ["-m", "uce", "-p", "read=sentences", "-p", "positions=all", "-p", "erase=10"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SimpleNamespace]]:
    """family -> its file, the folder of its text encoder, and the file without van Gogh"""
    folder = tmp_path_factory.mktemp("transformers")
    (folder / "lexicon.txt").write_text(LEXICON)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, family in NARROW.items():
            patch.setitem(FAMILIES, name, replace(family, folder=folder))  # a small lexicon
            file = checkpoint(folder / f"{name}.safetensors", name)
            encoder, edited = pipeline(folder / name, name), folder / f"{name}.edited.safetensors"
            line = ["erase", file, "--concept", "van gogh", "--text-encoder", encoder]
            line += [*CLOSED, "-o", edited]
            assert CliRunner().invoke(app, [str(word) for word in line]).exit_code == 0
            found[name] = SimpleNamespace(file=file, encoder=encoder, edited=edited)
        yield found


def run(of: SimpleNamespace, *more: object, edited: Path | None = None) -> Result:
    line = ["audit", edited or of.edited, "--original", of.file, *more]
    return CliRunner().invoke(app, [str(word) for word in line])


def probes(done: Result) -> dict:
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["probes"]


@pytest.mark.parametrize("family", NARROW)
def test_probes_without_pictures_are_asked_by_a_text_encoder_of_a_folder(family, files) -> None:
    of = files[family]
    found = probes(run(of, "--text-encoder", of.encoder, "--json"))
    assert list(found) == list(QUICK)
    assert found["residual"]["figures"]["plain"] < 0.9
    moved = found["collateral"]["figures"]
    assert moved["words"] == 6 and 0 < moved["median"] < moved["target"]
    nothing = ("--concept", "monet", "--anchor", "photo", "--text-encoder", of.encoder, "--json")
    same = probes(run(of, *nothing, "-q", edited=of.file))
    assert same["residual"]["figures"]["plain"] == pytest.approx(1)
    assert same["collateral"]["figures"]["farthest"] == 0
    assert same["recoverability"]["figures"]["restored"] == pytest.approx(1, abs=1e-5)
    assert same["recoverability"]["figures"]["word"] == "monet"


def test_embeddings_of_all_that_is_listed_answer_the_same(files, tmp_path: Path) -> None:
    of, made = files["anima"], tmp_path / "made.safetensors"
    listed = run(of, "--list-prompts")
    assert listed.exit_code == 0, listed.output
    table = load_outside(Checkpoint(of.file), FAMILIES["anima"], of.encoder, [])
    prompts = listed.stdout.splitlines()
    save_file({prompt: table.read([prompt])[0].contiguous() for prompt in prompts}, made)
    assert run(of, "--list-prompts", "--embeddings", made).stdout == ""
    asked = [probes(run(of, *how, "--json")) for how in
             (("--embeddings", made), ("--text-encoder", of.encoder))]  # fmt: skip
    assert asked[0] == asked[1]
    few = {name: rows for name, rows in load_file(made).items() if "vn gogh" not in name}
    save_file(few, made)
    less = probes(run(of, "--embeddings", made, "--json"))["residual"]
    rows = [row for row in asked[0]["residual"]["rows"] if row["name"] != "vn gogh"]
    assert len(rows) < len(asked[0]["residual"]["rows"]) and less["rows"] == rows
    assert any("'vn gogh' (typo): its sentences have no emb" in line for line in less["unread"])


def test_what_runs_the_model_is_left_out_of_deep_and_refused_alone(files) -> None:
    of = files["chroma"]
    done = run(of, "--deep", "--text-encoder", of.encoder, "--json")
    assert set(probes(done)) == set(QUICK)
    assert set(json.loads(done.stdout)["left_out"]) == set(PROBES) - set(QUICK)
    refused(run(of, "--probe", "gap", "--text-encoder", of.encoder), "instead of a UNet")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "anima files hold no text encoder; give --text-encoder FOLDER"),
        (["--text-encoder", "x", "--tokenizer", "y"], "--tokenizer is of a text encoder in the"),
        (["--text-encoder", "x", "--embeddings", "y"], "--embeddings or --text-encoder, not both"),
        (["--list-prompts", "--json"], "leave out --json"),
    ],
)
def test_what_cannot_be_done_there_says_so_in_a_line(more, said: str, files) -> None:
    refused(run(files["anima"], *more), said)


def test_an_edit_of_what_reads_the_text_is_not_audited_by_another(files, tmp_path: Path) -> None:
    of, tensors = files["anima"], load_file(files["anima"].edited)
    tensors["net.llm_adapter.norm.weight"] += 1
    save_file(tensors, edited := tmp_path / "x.safetensors")
    more = ("--concept", "van gogh", "--anchor", "photo", "--text-encoder", of.encoder)
    refused(run(of, *more, "-q", edited=edited), "net.llm_adapter.norm.weight", "reads the text")


def test_a_model_that_reads_by_itself_is_not_run_on_embeddings_of_others(tmp_path: Path) -> None:
    base, made = tmp_path / "mini.safetensors", tmp_path / "made.safetensors"
    assert CliRunner().invoke(app, ["demo", "-o", str(base)]).exit_code == 0
    of = SimpleNamespace(file=base)
    more = ("--concept", "Neon", "--anchor", "photo", "--embeddings", made, "-q")
    refused(run(of, *more, "--probe", "gap", edited=base), "runs the model", "--embeddings")
