"""SD1, SD2 and SDXL through the commands that read words, as small checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from refusal import refused
from safetensors.torch import load_file, save_file
from small_models import Small
from typer.testing import CliRunner, Result

from ckptedit.cli import app
from ckptedit.families import FAMILIES
from ckptedit.files import Checkpoint


@pytest.fixture(scope="module", params=["sd2", "sdxl"])
def model(request: pytest.FixtureRequest, smalls: Callable[..., Small]) -> Small:
    return smalls(request.param)


one = pytest.mark.parametrize("model", ["sdxl"], indirect=True)


@pytest.fixture
def base(model: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its single file, a tokenizer beside it."""
    return beside(model, tmp_path, monkeypatch)


def beside(model: Small, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(FAMILIES, model.family.name, model.family)
    monkeypatch.chdir(folder)
    (folder / "tokenizer").symlink_to(model.words)
    (folder / "base.safetensors").symlink_to(model.file)
    return folder / "base.safetensors"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def erased(base: Path, *more: object) -> Result:
    asked = ["--concept", "van gogh", "--neighbors", "1"]
    return run("erase", base, *asked, "-o", "edited.safetensors", "--force", *more)


def test_a_closed_form_erases_and_says_which_tokenizer_it_read_with(
    base: Path, model: Small, tmp_path: Path
) -> None:
    # so narrow an encoder has little room beside what is held; targets may weigh more there
    done = erased(base, "--json", "-p", "cap=100")
    assert done.exit_code == 0, done.output
    assert "note: tokenizer beside the checkpoint: " in done.stderr
    report = json.loads(done.stdout)
    folder = str(tmp_path / "tokenizer")
    assert report["tokenizer"] == {"path": folder, "source": "beside the checkpoint"}
    assert report["kv_change"]["target"] > 0.1 and not report["warnings"]
    options = Checkpoint("edited.safetensors").ledger[-1]["options"]
    assert len(options["vocabulary_sha256"]) == 64 and "clip_skip" not in options


@one
def test_clip_skip_is_read_by_every_command_and_kept(base: Path, model: Small) -> None:
    skip = ("--clip-skip", model.family.readers[0].layer + 1)
    first, second = (json.loads(erased(base, "--json", "-q", *how).stdout) for how in ((), skip))
    assert first["drift"] != second["drift"] and second["clip_skip"] == skip[1]
    assert Checkpoint("edited.safetensors").ledger[-1]["options"]["clip_skip"] == skip[1]
    for command in (
        ["project", base, "--concept", "cat", "--json"],
        ["diff", base, "edited.safetensors", "--words", "2", "--json"],
    ):
        usual, skipped = (json.loads(run(*command, *how).stdout) for how in ((), skip))
        assert usual.pop("tokenizer")["source"] == "beside the checkpoint"
        assert usual != {name: value for name, value in skipped.items() if name != "tokenizer"}
    done = run("project", base, "--concept", "cat", "--clip-skip", "9")
    assert (done.exit_code, done.stdout) == (2, "") and "clip skip must be from" in done.stderr


@one
def test_without_a_tokenizer_every_command_says_how_to_get_one_and_stops(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ckptedit.families import vocabulary

    (tmp_path / "tokenizer").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(vocabulary, "find_spec", lambda name: None)
    concept = ["--concept", "van gogh"]
    for command in (["erase", base, *concept], ["project", base, *concept], ["sample", base, "cat"],
                    ["diff", base, base, "--words", "1"]):  # fmt: skip
        done = run(*command)
        assert (done.exit_code, done.stdout) == (2, ""), command
        assert "give --tokenizer PATH" in done.stderr and done.stderr.count("\n") == 1
    assert run("project", base, *concept, "--tokenizer", "elsewhere").exit_code == 0


@one
def test_a_bare_unet_asks_for_embeddings(base: Path) -> None:
    tensors = load_file(base)
    save_file({n: t for n, t in tensors.items() if "diffusion_model" in n}, "unet.safetensors")
    refused(erased(Path("unet.safetensors"), "--tokenizer", "tokenizer"), "--embeddings FILE")


@one
def test_an_edit_of_one_of_two_text_encoders_is_refused(base: Path) -> None:
    refused(erased(base, "-q", "--method", "te-quickfix"), "sdxl reads 2 text encoders")


@pytest.mark.parametrize(
    ("kind", "channels", "told"), [("sd1", 9, ()), ("sdxl", 4, ("--prediction", "v_prediction"))]
)
def test_a_training_and_a_sheet_of_pictures_run(
    kind: str,
    channels: int,
    told: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    smalls: Callable[..., Small],
) -> None:
    base = beside(smalls(kind, channels), tmp_path, monkeypatch)
    few = ("--steps", 2, "--pictures", 1, "--batch", 2, "--lr", 0.01, "--guard", "l2")
    done = erased(base, "--method", "conabl", *few, *told, "--vram", "8G", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["kv_change"]["target"] > 0.01
    assert "memory: 2 pictures at a time, at most 0.5 GB\n" in done.stderr
    done = run(
        "sample", "edited.safetensors", "cat", "--seeds", 1, "--steps", 1, *told, "-o", "x.png"
    )
    assert (done.exit_code, done.stdout) == (0, "x.png\n"), done.output
