"""A file of codes instead of weights: no command computes with them, and each says so in a line."""

import json

import numpy as np
import pytest
import torch
from refusal import refused
from safetensors.torch import load_file, save_file
from tiny_model import random_mini
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import COMMANDS, app
from ckptedit.errors import Incompatible
from ckptedit.files import Checkpoint, quantised, write_edited

KEY = "model.diffusion_model.input_blocks.3.1.transformer_blocks.0.attn2.to_k"
MARKED = [
    f"{KEY}.weight_scale", f"{KEY}.scale_weight", f"{KEY}.weight_scale_inv", f"{KEY}.input_scale",
    f"{KEY}.scale_input", f"{KEY}.comfy_quant", "scaled_fp8", "model.scaled_fp8",
    f"{KEY}.weight.absmax", f"{KEY}.weight.quant_map", f"{KEY}.weight.nested_absmax",
    f"{KEY}.weight.quant_state.bitsandbytes__nf4", f"{KEY}.SCB", f"{KEY}.weight_scale_2",
]  # fmt: skip
NEW = ("--concept", "Van Gogh", "--steps", "1", "-o", "new.safetensors")
RUNS = {  # every command that reads or edits values, over the scaled file
    "sample": [["{scaled}", "a photo", "-o", "grid.png"]],
    "project": [["{scaled}", "--concept", "Van Gogh"]],
    "erase": [["{scaled}", *NEW]],
    "diff": [["{scaled}", "{base}"], ["{base}", "{scaled}", "-o", "new.safetensors"]],
    "eval": [["{scaled}"]],
    "continual": [["{scaled}", "{asked}", "-o", "run"]],
    "plan": [["{scaled}", "{asked}", "-o", "run"]],
    "audit": [
        ["{scaled}", "--original", "{base}", "--concept", "Van Gogh"],
        ["{base}", "--original", "{scaled}", "--concept", "Van Gogh"],
    ],
    "report": [["{scaled}", "--against", "{base}"]],
    "merge": [
        ["{scaled}", "{base}", "-o", "new.safetensors"],
        ["{base}", "{scaled}", "-o", "new.safetensors", "--extra", "drop"],
    ],
    "apply": [["{scaled}", "{delta}", "--fuzz"], ["{base}", "{scaled}", "--fuzz"]],
    "import": [["{scaled}", "{base}"], ["{delta}", "{scaled}"]],
    "export": [["{scaled}"]],
}
OTHERS = {"demo", "info", "verify"}  # which compute with no value


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint; the same in scaled fp8, as others store it; a delta of the first."""
    folder = tmp_path_factory.mktemp("quantised")
    base, scaled = random_mini(folder / "base.safetensors"), folder / "scaled.safetensors"
    tensors = load_file(base)
    weight = tensors[f"{KEY}.weight"].float()
    scale = weight.abs().max() / 448
    codes = {f"{KEY}.weight": (weight / scale).to(torch.float8_e4m3fn)}
    save_file(tensors | codes | {f"{KEY}.weight_scale": scale}, scaled)
    save_file(tensors | {f"{KEY}.weight": (weight * 1.01).half()}, folder / "edited.safetensors")
    done = run("diff", base, folder / "edited.safetensors", "-o", folder / "delta.safetensors")
    assert done.exit_code == 0, done.output
    (asked := folder / "asked.txt").write_text("Van Gogh\n")
    delta = folder / "delta.safetensors"
    return {"base": base, "scaled": scaled, "delta": delta, "asked": asked}


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_every_command_is_run_over_a_scaled_file():
    assert RUNS.keys() | OTHERS == set(COMMANDS)


@pytest.mark.parametrize("command", RUNS)
def test_a_command_over_a_scaled_file_ends_with_2_and_one_line(
    files, command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for words in RUNS[command]:
        done = run(command, *(word.format(**files) for word in words))
        refused(done, f"scaled.safetensors is quantised (it has the tensor {KEY}.weight_scale)")
    assert not list(tmp_path.iterdir())


def test_info_says_it_and_the_file_is_still_copied_and_compared_byte_for_byte(files, tmp_path):
    report = json.loads(run("info", files["scaled"], "--json").stdout)
    assert "weight_scale" in report["quantised"]
    assert "weight_scale" in run("info", files["scaled"]).stdout
    assert json.loads(run("info", files["base"], "--json").stdout)["quantised"] is None
    with Checkpoint(files["scaled"]) as scaled:
        write_edited(tmp_path / "copy.safetensors", scaled, {})
    done = run("diff", files["scaled"], tmp_path / "copy.safetensors")
    assert done.exit_code == 0 and "same: every tensor" in done.stdout


@pytest.mark.parametrize("name", MARKED)
def test_every_known_marker_counts(tmp_path, name):
    save_file({name: torch.ones(1), f"{KEY}.weight": torch.ones(2)}, tmp_path / "x.safetensors")
    with Checkpoint(tmp_path / "x.safetensors") as checkpoint:
        assert name in str(quantised(checkpoint))


def test_the_metadata_counts_and_plain_fp8_and_names_that_are_alike_do_not(tmp_path):
    plain = {"a.weight": torch.ones(3).to(torch.float8_e4m3fn), "logit_scale": torch.ones(())}
    plain |= {"b.scale": torch.ones(1), "c.my_weight_scale_net.weight": torch.ones(1)}
    for metadata, counts in ((None, False), ({"_quantization_metadata": "{}"}, True)):
        save_file(plain, tmp_path / "x.safetensors", metadata=metadata)
        with Checkpoint(tmp_path / "x.safetensors") as checkpoint:
            assert (quantised(checkpoint) is not None) is counts
            assert np.isfinite(checkpoint.values("a.weight")).all()


def test_functions_refuse_at_once_too(files, tmp_path):
    for sides in ((files["base"], files["scaled"]), (files["scaled"], files["base"])):
        with pytest.raises(Incompatible, match="is quantised"):
            ckptedit.write_delta(*sides, tmp_path / "d.safetensors")
    with pytest.raises(Incompatible, match="is quantised"):
        ckptedit.open_model(files["scaled"])
