"""`ckptedit info`, as a user types it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from refusal import refused
from safetensors.torch import save_file
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.files import Checkpoint, ledger, write_edited

KV = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
MARKERS = {"sd1": (320, 768), "sd2": (320, 1024), "unknown": (320, 7)}


def run(*arguments: object):
    return CliRunner().invoke(app, ["info", *map(str, arguments)])


def checkpoint(path: Path, shape: tuple[int, int] = (320, 768), **more: torch.Tensor) -> Path:
    tensors = {KV: torch.ones(shape).half(), "first_stage_model.conv.bias": torch.zeros(5)}
    save_file(tensors | more, path, metadata={"format": "pt"})
    return path


@pytest.fixture
def base(tmp_path) -> Path:
    return checkpoint(tmp_path / "base.safetensors")


def test_shows_what_a_person_wants_to_know(base):
    result = run(base)
    assert result.exit_code == 0 and result.stderr == ""
    text = " ".join(result.stdout.split())
    for fact in [
        f"checkpoint {base}",
        "family sd1",
        "layout single file",
        "tensors 2, 245,765 parameters, 492 kB",
        "F16 100.0% (1), F32 0.0% (1)",
        "health good: no NaN, no Inf",
        f"sha256 {Checkpoint(base).data_sha256()} (tensor data)",
        f"file sha256 {hashlib.sha256(base.read_bytes()).hexdigest()}",
        "model.diffusion_model 1 245,760 492 kB",
        "first_stage_model 1 5 20 B",
    ]:
        assert fact in text


def test_json_is_one_object_with_stable_names(base):
    report = json.loads(run(base, "--json").stdout)
    assert report["schema_version"] == 1
    assert report["family"] == "sd1" and report["layout"] == "single file"
    assert report["tensors"] == 2 and report["parameters"] == 245765 and report["bytes"] == 491540
    assert report["ledger"] == [] and report["metadata"] == {"format": "pt"}
    assert report["healthy"] is True and report["unhealthy"] == []
    assert report["sha256"] == Checkpoint(base).data_sha256()
    assert "tensor_list" not in report


def test_every_tensor_is_listed_on_request(base):
    assert f"{KV:80} F16 320×768 492 kB".split() in map(
        str.split, run(base, "--all").stdout.splitlines()
    )
    listed = json.loads(run(base, "--all", "--json").stdout)["tensor_list"]
    assert {"name": KV, "dtype": "F16", "shape": [320, 768], "bytes": 491520} in listed


@pytest.mark.parametrize("family", MARKERS)
def test_names_the_family(tmp_path, family):
    path = checkpoint(tmp_path / "x.safetensors", MARKERS[family])
    assert json.loads(run(path, "--json").stdout)["family"] == family


def test_a_language_model_is_described_as_well(tmp_path):
    tensors = {f"model.layers.{i}.mlp.up.weight": torch.ones(3, 2).bfloat16() for i in range(4)}
    save_file(tensors, tmp_path / "llm.safetensors")
    text = " ".join(run(tmp_path / "llm.safetensors").stdout.split())
    assert "family unknown" in text and "model.layers 4 24 48 B" in text


def test_shows_the_ledger(base, tmp_path):
    with Checkpoint(base) as read:
        line = ledger.entry("erase", {}, read.data_sha256(), concepts=["Van Gogh", "\x1b[31m"])
        metadata = ledger.append(read.metadata, line)
        write_edited(tmp_path / "edited.safetensors", read, {}, metadata=metadata)
        digest = read.data_sha256()[:12]
    result = run(tmp_path / "edited.safetensors")
    tool = f"ckptedit {ckptedit.__version__}"
    assert f"1 erase Van Gogh, \\x1b[31m {tool} {digest}" in " ".join(result.stdout.split())
    assert json.loads(run(tmp_path / "edited.safetensors", "--json").stdout)["ledger"] == [line]


def test_an_unhealthy_checkpoint_is_named_and_exits_with_1(tmp_path):
    bad = torch.tensor([torch.nan, torch.inf, 1, torch.nan])
    path = checkpoint(tmp_path / "bad.safetensors", bad=bad)
    result = run(path)
    assert result.exit_code == 1
    assert "health bad: 2 NaN and 1 Inf in 1 tensors" in " ".join(result.stdout.split())
    assert ["bad", "2", "1", "0"] in [line.split() for line in result.stdout.splitlines()]
    report = json.loads(run(path, "--json").stdout)
    assert report["healthy"] is False
    assert report["unhealthy"] == [{"name": "bad", "nan": 2, "inf": 1, "bools": 0}]


def test_quick_reads_headers_only(tmp_path):
    path = checkpoint(tmp_path / "bad.safetensors", bad=torch.tensor(torch.nan))
    result = run(path, "--quick")
    assert result.exit_code == 0 and "not examined" in result.stdout
    report = json.loads(run(path, "--quick", "--json").stdout)
    assert report["healthy"] is None and report["sha256"] is None


def test_names_cannot_steer_the_terminal(tmp_path):
    evil = {"\x1b[2J\n[bold]x[/bold]": torch.zeros(1), "\u202egnp": torch.tensor(torch.nan)}
    path = checkpoint(tmp_path / "evil.safetensors", **evil)
    output = run(path, "--all").stdout
    assert "\\x1b[2J\\n[bold]x[/bold]" in output and "\\u202egnp" in output
    assert all(line.isprintable() for line in output.splitlines())


def test_a_folder_and_its_components(tmp_path):
    for part in ("unet", "vae"):
        (tmp_path / "pipe" / part).mkdir(parents=True)
        save_file(
            {"down_blocks.0.w": torch.ones(2)},
            tmp_path / "pipe" / part / "diffusion_pytorch_model.safetensors",
        )
    report = json.loads(run(tmp_path / "pipe", "--json").stdout)
    assert report["layout"] == "diffusers folder" and report["files"] == 2
    assert [part["name"] for part in report["parts"]] == ["unet", "vae"]


def test_reads_from_a_pipe(base):
    command = [sys.executable, "-m", "ckptedit", "info", "-", "--json"]
    root = Path(ckptedit.__file__).parents[1]
    with base.open("rb") as file:
        cat = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
        done = subprocess.run(command, stdin=cat.stdout, capture_output=True, cwd=root)
        cat.wait()
    assert done.returncode == 0 and done.stderr == b""
    report = json.loads(done.stdout)
    assert report["path"] == "-" and report["sha256"] == Checkpoint(base).data_sha256()


def test_a_reader_that_stops_early_is_no_error(base):
    root = Path(ckptedit.__file__).parents[1]
    shell = f"{sys.executable} -m ckptedit info --all {base} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=root)
    assert done.stderr == "" and done.stdout.splitlines()[-1] in ("0", "141")


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("missing.safetensors", None, "no such file"),
        ("empty.safetensors", b"", "not a safetensors file (it is empty)"),
        (
            "text.safetensors",
            b"hello, this is not a checkpoint",
            "not a safetensors file (a ",
        ),
        ("model.ckpt", b"PK\x03\x04" + bytes(60), "is a pickle in a zip (.ckpt, .pt); convert it"),
        ("old.ckpt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "is a pickle (.ckpt, .pt, .bin)"),
        ("new\nline.safetensors", None, "no such file"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_status_2(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refused(run(tmp_path / name), reason)


def test_a_truncated_file_says_by_how_much(base):
    content = base.read_bytes()
    base.write_bytes(content[:-100])
    assert run(base).stderr == (
        f"error: {base}: truncated: its header describes 491540 bytes of tensors, "
        "the file has 491440\n"
    )


def test_the_python_function_says_the_same(base):
    assert ckptedit.info(base).as_dict() == {
        key: value
        for key, value in json.loads(run(base, "--json").stdout).items()
        if key != "schema_version"
    }
