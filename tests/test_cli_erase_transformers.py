"""Erasing from checkpoints without a UNet, whose text encoder is elsewhere."""

import logging
from pathlib import Path

import pytest
import torch
import transformers
from refusal import refused
from safetensors.torch import load_file, save_file
from transformer_files import LEXICON, NARROW, WIDTH, checkpoint, pipeline
from typer.testing import CliRunner, Result

from ckptedit.cli import app
from ckptedit.families import FAMILIES, kv_role
from ckptedit.files import Checkpoint
from ckptedit.text.outside import load_outside

FAMILY = ["anima", "flux1", "chroma"]
CLOSED = ["-m", "uce", "-p", "read=sentences", "-p", "positions=all", "-p", "erase=10"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """family -> its checkpoint and the folder of its text encoder"""
    folder = tmp_path_factory.mktemp("transformers")
    (folder / "lexicon.txt").write_text(LEXICON)
    found = {
        name: (checkpoint(folder / f"{name}.safetensors", name), pipeline(folder / name, name))
        for name in FAMILY
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, family in NARROW.items():
            patch.setitem(FAMILIES, name, family)
        yield found | {"lexicon": folder / "lexicon.txt"}


def erase(file: Path, lexicon: Path, *more: object) -> Result:
    given = ["erase", file, "--concept", "van gogh", "--lexicon", lexicon, *more]
    return CliRunner().invoke(app, [str(each) for each in given])


def moved(before: dict, after: dict, name: str, rows: torch.Tensor) -> float:
    """How far what is read of these rows is from what it was, relative."""
    old, new = (rows @ side[name].float().T for side in (before, after))
    return float((new - old).norm() / old.norm())


@pytest.mark.parametrize("family", FAMILY)
def test_the_concept_becomes_its_anchor_and_all_else_keeps_its_bytes(
    family: str, files, tmp_path: Path
) -> None:
    file, folder = files[family]
    output = tmp_path / "edited.safetensors"
    done = erase(file, files["lexicon"], "--text-encoder", folder, *CLOSED, "-o", output)
    assert done.exit_code == 0, done.output
    said = "flux1: one vector of the whole prompt (vector_in) is read, too" in done.stderr
    assert said == (family == "flux1")
    before, after = load_file(file), load_file(output)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    readers = {name for name in before if kv_role(name) and "vector_in" not in name}
    assert changed == readers and before.keys() == after.keys()
    its = FAMILIES[family]
    table = load_outside(Checkpoint(file), its, folder, [])
    gone, anchor = table.encode(
        [f"something in {style} style" for style in ("van gogh", "photo")]
    ).hidden
    anchor = torch.cat([anchor[:1], anchor])[: len(anchor)]  # it has one token less: by the end
    for name in changed:
        old, new = before[name].float(), after[name].float()
        left = (gone @ new.T - anchor @ old.T)[1:].norm() / ((gone - anchor) @ old.T)[1:].norm()
        assert left < 0.6


@pytest.mark.parametrize("concept", ["van gogh", "cat"])
def test_the_default_method_works_there_too(concept: str, files, tmp_path: Path) -> None:
    file, folder = files["anima"]
    output = tmp_path / "edited.safetensors"
    done = CliRunner().invoke(
        app,
        ["erase", str(file), "--concept", concept, "--lexicon", str(files["lexicon"]),
         "--text-encoder", str(folder), "-o", str(output)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    before, after = load_file(file), load_file(output)
    changed = {kv_role(name) for name in before if not torch.equal(before[name], after[name])}
    assert changed == ({"v"} if concept == "van gogh" else {"k", "v"})


def test_embeddings_made_elsewhere_are_as_good_as_their_encoder(files, tmp_path: Path) -> None:
    file, folder = files["anima"]
    made = tmp_path / "embeddings.safetensors"
    table = load_outside(Checkpoint(file), FAMILIES["anima"], folder, [])
    given: list[object] = []
    for _ in range(5):  # which neighbours there are is told from the first answers
        listed = erase(file, files["lexicon"], *CLOSED, "--list-prompts", *given)
        assert listed.exit_code == 0, listed.output
        prompts = listed.stdout.splitlines()
        if not prompts:
            break
        rows = {prompt: table.read([prompt])[0].contiguous() for prompt in prompts}
        save_file((load_file(made) if given else {}) | rows, made)
        given = ["--embeddings", made]
    assert given and not prompts
    outputs = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for output, way in zip(outputs, (given, ["--text-encoder", folder]), strict=True):
        done = erase(file, files["lexicon"], *CLOSED, *way, "-o", output)
        assert done.exit_code == 0, done.output
    one, two = map(load_file, outputs)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_prompt_that_a_file_lacks_is_named_with_the_way_to_all(files, tmp_path: Path) -> None:
    file, _ = files["chroma"]
    made = tmp_path / "embeddings.safetensors"
    save_file({"van gogh": torch.randn(3, WIDTH)}, made)
    done = erase(
        file, files["lexicon"], *CLOSED, "--embeddings", made, "-o", tmp_path / "x.safetensors"
    )
    refused(done, "embeddings.safetensors lacks", "--list-prompts prints all")
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"van gogh": torch.ones(3, 768)}, "reads embeddings of floats [n, 96]"),
        ({"van gogh": torch.ones(3, 96).int()}, "van gogh is I32"),
        ({"van gogh": torch.ones(2, 3, 96)}, "[2, 3, 96]"),
        ({"van gogh": torch.full((3, 96), torch.nan)}, "lacks"),
    ],
)
def test_a_file_of_anything_else_is_refused(tensors, said: str, files, tmp_path: Path) -> None:
    file, _ = files["chroma"]
    save_file(tensors, tmp_path / "e.safetensors")
    done = erase(file, files["lexicon"], *CLOSED, "--embeddings", tmp_path / "e.safetensors")
    refused(done, said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "anima files hold no text encoder; give --text-encoder FOLDER"),
        (["-m", "conabl"], "transformer instead of a UNet"),
        (["--params", "te", "-m", "te-quickfix"], "te"),
    ],
)
def test_what_cannot_be_done_there_says_so(more, said: str, files) -> None:
    refused(erase(files["anima"][0], files["lexicon"], *more), said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--clip-skip", "2"], "--clip-skip is of a text encoder in the checkpoint, and --text-e"),
        (["--tokenizer", "words"], "--tokenizer is of a text encoder in the checkpoint"),
        (["--allow-download"], "--allow-download is of a text encoder in the checkpoint"),
        (["--vram", "8G"], "--vram is of a training, and balanced is a closed form"),
        (["--compile"], "--compile is of a training"),
        (["--resume"], "--resume is of a training"),
        (["--list-prompts", "--json"], "leave out --json"),
        (["--list-prompts"], "--list-prompts prints prompts, and no more; leave out --output"),
    ],
)
def test_what_has_no_effect_there_is_refused(more, said: str, files, tmp_path: Path) -> None:
    file, folder = files["chroma"]
    output = tmp_path / "x.safetensors"
    refused(erase(file, files["lexicon"], "--text-encoder", folder, "-o", output, *more), said)
    assert not output.exists()
    if "training" not in said:
        asked = ["project", file, "--concept", "monet", "--text-encoder", folder, *more]
        asked += ["-o", output]
        refused(CliRunner().invoke(app, [str(each) for each in asked]), said)


def test_the_encoder_of_another_family_is_refused_in_one_line(files) -> None:
    heard: list[logging.LogRecord] = []
    ear = logging.Handler()
    ear.emit = heard.append  # type: ignore[method-assign]
    transformers.utils.logging.add_handler(ear)
    done = erase(files["chroma"][0], files["lexicon"], "--text-encoder", files["anima"][1])
    transformers.utils.logging.remove_handler(ear)
    refused(done, "weights, such as")
    assert not heard


def test_sampling_and_exporting_say_that_it_is_a_transformer(files) -> None:
    for command, said in (
        (["sample", files["chroma"][0], "a cat"], "transformer instead of a UNet"),
        (["export", files["anima"][0]], "anima files are written in one spelling only"),
    ):
        refused(CliRunner().invoke(app, [str(each) for each in command]), said)


def test_a_subspace_that_is_spanned_there_may_not_move(files, tmp_path: Path) -> None:
    file, folder = files["anima"]
    basis, output = tmp_path / "basis.safetensors", tmp_path / "kept.safetensors"
    done = CliRunner().invoke(
        app, ["project", str(file), "--concept", "monet", "--text-encoder", str(folder),
              "--neighbors", "0", "-o", str(basis)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = load_file(basis)["basis"]
    assert rows.shape[1] == WIDTH
    given = ["--text-encoder", folder, *CLOSED, "-o", output]
    assert erase(file, files["lexicon"], *given).exit_code == 0
    free = load_file(output)
    assert erase(file, files["lexicon"], *given, "--basis", basis, "--force").exit_code == 0
    before, after = load_file(file), load_file(output)
    for name in filter(kv_role, before):
        loose = moved(before, free, name, rows)
        assert moved(before, after, name, rows) < 0.05 * loose  # rounding to half is left
