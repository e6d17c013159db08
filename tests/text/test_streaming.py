"""A text encoder whose layers are read when they run says what one that holds them says."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import KINDS, Small

import ckptedit.text.encoder
from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint
from ckptedit.text import TextEncoder, load_text_encoder

PROMPTS = ["a cat in van gogh style", "a dog", ""]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, smalls: Callable[..., Small]) -> Small:
    return smalls(request.param)


@pytest.fixture(params=["ldm", "folder", "half"])
def path(request: pytest.FixtureRequest, model: Small, tmp_path: Path) -> Path:
    if request.param == "folder":
        return model.directory
    if request.param == "half":
        halves = {name: tensor.half() for name, tensor in load_file(model.file).items()}
        save_file(halves, tmp_path / "half.safetensors")
        return tmp_path / "half.safetensors"
    return model.file


def loaded(model: Small, path: Path, **how: object) -> TextEncoder:
    return load_text_encoder(Checkpoint(path), model.family, tokenizer=model.words, **how)


def held(encoder: TextEncoder) -> list[str]:
    return [
        name
        for tower in encoder.towers
        for name, weight in tower.transformer.named_parameters()
        if ".layers." in f".{name}" and not weight.is_meta
    ]


def test_what_is_read_is_the_same_to_the_bit(model: Small, path: Path) -> None:
    whole, streamed = loaded(model, path, streamed=False), loaded(model, path, streamed=True)
    assert held(whole) and not held(streamed)
    for batch in (1, 64):
        ours, theirs = (each.encode(PROMPTS, batch=batch) for each in (streamed, whole))
        assert torch.equal(ours.hidden, theirs.hidden) and ours.hidden.dtype == torch.float32
        if theirs.pooled is not None:
            assert ours.pooled is not None and torch.equal(ours.pooled, theirs.pooled)
    assert torch.equal(streamed.gathered(ours.ids), whole.gathered(ours.ids))
    assert not held(streamed)
    assert streamed.digest() == whole.digest()
    assert streamed.to("cpu").device.type == "cpu"


def test_a_layer_does_not_stay_when_a_pass_fails(
    smalls: Callable[..., Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = smalls("sd1")
    encoder = loaded(model, model.file, streamed=True)
    layer = encoder.towers[0].layers[1]
    with monkeypatch.context() as patch:
        patch.setattr(layer, "forward", lambda *given, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            encoder.encode(PROMPTS)
    assert not held(encoder)
    assert torch.equal(encoder.encode(["a dog"]).hidden, encoder.encode(["a dog"]).hidden)


def test_large_ones_are_streamed_and_small_ones_held(
    smalls: Callable[..., Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = smalls("sdxl")
    assert held(loaded(model, model.file))
    monkeypatch.setattr(ckptedit.text.encoder, "LARGE", 1)
    assert not held(loaded(model, model.file))


def test_nan_in_a_layer_is_found_when_it_is_read(
    smalls: Callable[..., Small], tmp_path: Path
) -> None:
    model = smalls("sd1")
    tensors = load_file(model.file)
    name = next(name for name in tensors if name.endswith("layers.1.mlp.fc1.weight"))
    tensors[name][0, 0] = float("nan")
    save_file(tensors, tmp_path / "x.safetensors")
    encoder = loaded(model, tmp_path / "x.safetensors", streamed=True)
    with pytest.raises(BadCheckpoint, match=r"layers\.1\.mlp\.fc1\.weight holds NaN or Inf"):
        encoder.encode(PROMPTS)
