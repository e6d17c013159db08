"""Folders and names, as a user gives them: nothing is passed over, nothing takes another's name."""

import json
from pathlib import Path

import pytest
from refusal import refused
from test_cli_usage import put
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.cli.output import write_report

OPENING = [  # every command that opens a checkpoint, and what else it is given
    ["sample", "PIPE", "a cat"],
    ["project", "PIPE", "--concept", "cat"],
    ["erase", "PIPE", "--concept", "cat"],
    ["diff", "PIPE", "other.safetensors"],
    ["diff", "other.safetensors", "PIPE"],
    ["eval", "PIPE"],
    ["merge", "PIPE", "other.safetensors"],
    ["merge", "other.safetensors", "PIPE"],
    ["apply", "PIPE", "other.safetensors"],
    ["apply", "other.safetensors", "PIPE"],
    ["export", "PIPE"],
]
WRITING = [  # every command that writes a checkpoint or a delta
    ["demo"],
    ["project", "other.safetensors", "--concept", "cat"],
    ["erase", "other.safetensors", "--concept", "cat"],
    ["diff", "other.safetensors", "edited.safetensors"],
    ["merge", "other.safetensors", "other.safetensors"],
    ["apply", "other.safetensors", "delta.safetensors"],
    ["export", "delta.safetensors"],
]


def run(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def pipe(tmp_path, monkeypatch) -> Path:
    """A folder with a UNet that is a pickle, and the working folder with a file and a delta."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "other.safetensors")
    put(tmp_path / "edited.safetensors", 1)
    run("diff", "other.safetensors", "edited.safetensors", "-o", "delta.safetensors")
    put(tmp_path / "pipe/vae/diffusion_pytorch_model.safetensors")
    (tmp_path / "pipe/unet").mkdir()
    (tmp_path / "pipe/unet/diffusion_pytorch_model.bin").write_bytes(b"PK")
    return tmp_path / "pipe"


@pytest.mark.parametrize("arguments", OPENING, ids=" ".join)
def test_a_component_that_cannot_be_read_stops_every_command(pipe, arguments):
    """`diff` said "same: every tensor, byte for byte" of two folders whose UNets differed."""
    given = [str(pipe) if word == "PIPE" else word for word in arguments]
    refused(
        run(*given), "the component unet cannot be read: it has only diffusion_pytorch_model.bin"
    )


def test_info_describes_a_folder_in_part_and_names_the_rest(pipe):
    result = run("info", pipe)
    assert result.exit_code == 0 and result.stderr == ""
    text = " ".join(result.stdout.split())
    assert "unet is not read: it has only diffusion_pytorch_model.bin, a pickle" in text
    report = json.loads(run("info", pipe, "--json").stdout)
    assert report["unread"] == ["unet"] and len(report["notes"]) == 1 and report["tensors"] == 1


def test_a_stale_total_size_is_shown_by_info_and_told_by_others(pipe):
    folder = pipe.parent / "shards"
    put(folder / "model-1.safetensors")
    text = {"metadata": {"total_size": 1}, "weight_map": {"w": "model-1.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(text))
    said = "its total_size is 1, but the shards hold 200 bytes"
    assert said in " ".join(run("info", folder).stdout.split())
    done = run("merge", folder, "other.safetensors", "--json")
    assert done.exit_code == 0 and said not in done.stdout


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
@pytest.mark.parametrize("ending", [".ckpt", ".PT", ".pth", ".bin", ".gguf", ".onnx", ".json"])
def test_safetensors_are_not_written_under_the_name_of_another_format(pipe, arguments, ending):
    before = sorted(pipe.parent.rglob("*"))
    done = run(*arguments, "-o", f"out{ending}")
    refused(done, f"out{ending}: what is written is safetensors", "call it out.safetensors")
    assert sorted(pipe.parent.rglob("*")) == before


def test_a_report_may_have_any_name(tmp_path):
    write_report(tmp_path / "report.json", b"{}", force=False)
    assert (tmp_path / "report.json").read_bytes() == b"{}"
