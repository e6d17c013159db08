"""`ckptedit import`: what other tools save, as a delta that knows its base."""

import json

import numpy as np
import pytest
import torch
from refusal import refused
from safetensors.numpy import save_file
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.files import Checkpoint
from deltas.conftest import (
    BIAS,
    CONV,
    KEY,
    SHAPES,
    VALUE,
    dense,
    low_rank,
    numbers,
    rounded,
    start,
    stored,
)

BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0.attn2."
NAMES = {f"{BLOCK}to_k.weight": KEY, f"{BLOCK}to_v.weight": VALUE}
UNET = {
    **NAMES,
    "down_blocks.0.resnets.0.conv1.weight": CONV,
    "down_blocks.0.resnets.0.conv1.bias": BIAS,
}


def run(*args):
    return CliRunner().invoke(app, ["import", *map(str, args)])


@pytest.fixture
def base(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make("base", "F16")


def edited(rank=3):
    """Both K/V weights after an edit of low rank, as closed forms make them: not rounded."""
    at = {name: rounded(values, "F16") for name, values in start().items()}
    return {
        key: at[name] + low_rank(SHAPES[name], rank, seed=i)
        for i, (key, name) in enumerate(NAMES.items())
    }


def files():
    """What released code saves: of SPEED V weights, of RECE a whole UNet, of CUIG K and V."""
    new = {key: torch.from_numpy(value) for key, value in edited().items()}
    rest = {key: torch.from_numpy(rounded(start()[name], "F16")) for key, name in UNET.items()}
    return {
        "speed.pt": {f"{BLOCK}to_v.weight": new[f"{BLOCK}to_v.weight"]},
        "rece.pt": rest | new,
        "delta.bin": {"unet": new},
        "old-delta.bin": {"unet": new, "modifier_token": {}},
        "compvis.ckpt": {"state_dict": {NAMES[key]: value for key, value in new.items()}},
    }


@pytest.mark.parametrize("name", files())
def test_a_pickle_of_new_values_becomes_a_small_delta_that_is_applied_and_taken_out(base, name):
    """rank 3: what was low rank before the file was written is found again."""
    torch.save(files()[name], name)
    done = run(name, base, "-o", "d.safetensors")
    assert done.exit_code == 0, done.output
    assert done.stdout == "d.safetensors\n"
    with Checkpoint("d.safetensors") as delta:
        ranks = [delta[key].shape[0] for key in delta if key.endswith("lora_down.weight")]
        assert ranks == [3] * (1 if name == "speed.pt" else 2)
        assert len(delta) == 3 * len(ranks) and delta.ledger[-1]["operation"] == "import"
    apply = CliRunner().invoke(app, ["apply", str(base), "d.safetensors", "-o", "e.safetensors"])
    assert apply.exit_code == 0, apply.output
    for key, new in edited().items():
        if name != "speed.pt" or key.endswith("to_v.weight"):
            np.testing.assert_allclose(numbers("e.safetensors")[NAMES[key]], new, atol=2e-4)
    back = ["apply", "-R", "e.safetensors", "d.safetensors", "-o", "b.safetensors"]
    assert CliRunner().invoke(app, back).exit_code == 0
    found, before = stored("b.safetensors"), stored(base)
    for tensor, raw in before.items():
        if tensor not in (KEY, VALUE):
            assert found[tensor] == raw


def test_a_whole_unet_is_one_of_edits_too_and_what_it_does_not_change_is_left_out(tmp_path):
    """RECE saves all of `unet.state_dict()`, which is all that a bare UNet's file has."""
    names = {name.removeprefix("model.diffusion_model."): key for key, name in UNET.items()}
    base = {name: start()[f"model.diffusion_model.{name}"] for name in names}
    save_file(base, tmp_path / "unet.safetensors")
    new = {key: torch.from_numpy(base[name]) for name, key in names.items()}
    new[f"{BLOCK}to_v.weight"] = new[f"{BLOCK}to_v.weight"] + 1
    torch.save(new, tmp_path / "rece.pt")
    done = run(tmp_path / "rece.pt", tmp_path / "unet.safetensors", "-o", tmp_path / "d")
    assert done.exit_code == 0, done.output
    with Checkpoint(tmp_path / "d") as delta:
        assert all("attn2_to_v" in key for key in delta) and len(delta) == 3


def test_an_exact_delta_gives_every_bit_of_the_file_and_of_the_base(base):
    torch.save({key: torch.from_numpy(v).half() for key, v in edited().items()}, "theirs.pt")
    assert run("theirs.pt", base, "--exact", "-o", "d.safetensors").exit_code == 0
    args = [str(base), "d.safetensors", "-o", "e.safetensors"]
    assert CliRunner().invoke(app, ["apply", *args]).exit_code == 0
    for key, new in edited().items():
        assert stored("e.safetensors")[NAMES[key]] == new.astype(np.float16).tobytes()
    back = ["apply", "-R", "e.safetensors", "d.safetensors", "-o", "b.safetensors"]
    assert CliRunner().invoke(app, back).exit_code == 0
    assert stored("b.safetensors") == stored(base)


def test_what_the_delta_gives_otherwise_than_the_file_is_counted_and_said(base):
    """In half precision a share of the last places, as factors of low rank leave them."""
    torch.save({key: torch.from_numpy(v) for key, v in edited().items()}, "theirs.pt")
    save_file(edited(), "theirs.safetensors")
    done = run("theirs.pt", base, "-o", "d.safetensors", "--json")
    report = json.loads(done.stdout)
    for name, more in (("d", ()), ("theirs", ("--fuzz",))):
        args = ["apply", str(base), f"{name}.safetensors", *more, "-o", f"{name}.out"]
        assert CliRunner().invoke(app, args).exit_code == 0
    ours, theirs = numbers("d.out"), numbers("theirs.out")
    apart = sum(int((ours[name] != theirs[name]).sum()) for name in (KEY, VALUE))
    assert 0 < apart == report["off"]["values"] and report["exact"] is False
    assert f"applying it is not what FILE makes of BASE to the bit: {apart} values" in done.stderr


def test_a_lora_keeps_its_factors_and_its_scale_and_a_dora_becomes_one_that_can_be_taken_out(base):
    up, down = low_rank((128, 2), 2), low_rank((2, 256), 2, 5)
    file = {f"unet.{BLOCK}to_k.lora_B.weight": up, f"unet.{BLOCK}to_k.lora_A.weight": down,
            f"unet.{BLOCK}to_k.alpha": np.array(6.0, np.float32)}  # fmt: skip
    save_file(file, "lora.safetensors")
    done = run("lora.safetensors", base, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["tensors"] == {"lora": 1}
    with Checkpoint("lora.import.safetensors") as delta:
        factors = [delta.values(key) for key in delta]
        np.testing.assert_allclose(factors[0] @ factors[1], 3 * up @ down, atol=1e-6)
    magnitude = np.ones((128, 1), np.float32)
    save_file(file | {f"unet.{BLOCK}to_k.dora_scale": magnitude}, "dora.safetensors")
    assert run("dora.safetensors", base, "-o", "d.safetensors").exit_code == 0
    args = [str(base), "d.safetensors", "-o", "e.safetensors"]
    assert CliRunner().invoke(app, ["apply", *args]).exit_code == 0
    norms = np.linalg.norm(numbers("e.safetensors")[KEY].astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-3)
    back = ["apply", "-R", "e.safetensors", "d.safetensors", "-o", "b.safetensors"]
    assert CliRunner().invoke(app, back).exit_code == 0
    np.testing.assert_allclose(numbers("b.safetensors")[KEY], numbers(base)[KEY], atol=2e-4)


def test_the_same_edit_gives_the_same_changes_whatever_kind_of_pickle_it_comes_in(base):
    digests = set()
    for new in (True, False):
        torch.save(files()["delta.bin"], "d.bin", _use_new_zipfile_serialization=new)
        assert run("d.bin", base, "-o", "d.safetensors", "--force").exit_code == 0
        with Checkpoint("d.safetensors") as delta:
            digests.add(delta.data_sha256())
    assert len(digests) == 1


def test_what_cannot_be_imported_is_one_line_and_writes_nothing(base, tmp_path):
    new = files()["delta.bin"]["unet"]
    torch.save({"unet": new, "modifier_token": {"<new1>": torch.ones(768)}}, "token.bin")
    torch.save({"unet": {**new, "elsewhere.weight": torch.ones(2)}}, "part.bin")
    torch.save({f"{BLOCK}to_k.weight": torch.ones(3, 3)}, "shape.pt")
    torch.save({"program": pytest.raises}, "program.pt")
    delta = run("part.bin", base)
    assert delta.exit_code == 1
    torch.save(new, "good.pt")
    assert run("good.pt", base, "-o", "d.safetensors").exit_code == 0
    before = set(tmp_path.iterdir())
    cases = [
        (1, "1 of 3 modules have no weight there, such as modifier_token.<new1>", "token.bin"),
        (1, "1 of 3 modules have no weight there, such as unet.elsewhere", "part.bin"),
        (1, "is [3, 3], not [128, 256] as", "shape.pt"),
        (2, "nothing of it was run", "program.pt"),
        (2, "is a delta already: `ckptedit apply` takes it", "d.safetensors"),
        (2, "no such file", "nothing.pt"),
    ]
    for status, message, name in cases:
        refused(run(name, base, "-o", "out.safetensors"), message, status=status)
    refused(run("good.pt", base, "-o", "-", "--json"), "both want stdout")
    refused(run("good.pt", base, "-o", "d.safetensors"), "exists")
    refused(run("good.pt", base, "-o", "out.pt"), "out.pt")
    assert set(tmp_path.iterdir()) == before


def test_apply_of_a_pickle_says_who_reads_it(base):
    torch.save(files()["speed.pt"], "speed.pt")
    done = CliRunner().invoke(app, ["apply", str(base), "speed.pt", "--fuzz"])
    refused(done, "is a pickle in a zip (.ckpt, .pt)", "`ckptedit import` takes edits")


def test_an_edit_that_changes_nothing_is_said_to(base):
    same = rounded(start()[KEY], "F16")
    torch.save({f"{BLOCK}to_k.weight": torch.from_numpy(same)}, "same.pt")
    refused(run("same.pt", base), "nothing differs from")
    torch.save({f"{BLOCK}to_k.weight": torch.from_numpy(same + dense(same.shape))}, "d.pt")
    assert run("d.pt", base, "-o", "-").exit_code == 0
