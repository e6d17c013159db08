"""A text encoder whose layers are read when they run says what one that holds them says."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import KINDS, Small

import ckptedit.text.load
from ckptedit.errors import BadCheckpoint
from ckptedit.families import FAMILIES
from ckptedit.files import Checkpoint
from ckptedit.subspaces.project import project
from ckptedit.text import TextEncoder, load_text_encoder
from ckptedit.text.load import held_bytes

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


def shares(encoder: TextEncoder) -> bool:
    """Whether all layers of a tower lie in one place."""
    (shared,) = {
        len({next(layer.parameters()).data_ptr() for layer in tower.layers}) == 1
        for tower in encoder.towers
    }
    return shared


def test_what_is_read_is_the_same_to_the_bit(model: Small, path: Path) -> None:
    whole, streamed = loaded(model, path, streamed=False), loaded(model, path, streamed=True)
    assert shares(streamed) and not shares(whole)
    for batch in (1, 64):
        ours, theirs = (each.encode(PROMPTS, batch=batch) for each in (streamed, whole))
        assert torch.equal(ours.hidden, theirs.hidden) and ours.hidden.dtype == torch.float32
        if theirs.pooled is not None:
            assert ours.pooled is not None and torch.equal(ours.pooled, theirs.pooled)
    assert torch.equal(streamed.gathered(ours.ids), whole.gathered(ours.ids))
    assert streamed.digest() == whole.digest()
    assert streamed.to("cpu").device.type == "cpu"


@pytest.mark.parametrize("streamed", [True, False])
def test_what_is_counted_is_what_is_held(model: Small, path: Path, streamed: bool) -> None:
    encoder = loaded(model, path, streamed=streamed)
    encoder.encode(PROMPTS)
    found: dict[int, int] = {}
    for tower in encoder.towers:
        places = [weight.untyped_storage() for weight in tower.transformer.parameters()]
        found |= {place.data_ptr(): place.nbytes() for place in places}
        for hook in tower.layers[0]._forward_pre_hooks.values():
            found[id(hook)] = hook.args[0]._room.nbytes  # what layers are read into
    counted = held_bytes(Checkpoint(path), model.family, streamed=streamed)
    assert counted == sum(found.values())


def test_large_ones_are_streamed_and_small_ones_held(
    smalls: Callable[..., Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = smalls("sdxl")
    assert not shares(loaded(model, model.file))
    monkeypatch.setattr(ckptedit.text.load, "LARGE", 1)
    assert shares(loaded(model, model.file))


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


def test_a_subspace_is_told_of_a_file_by_name(
    smalls: Callable[..., Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = smalls("sd1")
    monkeypatch.setattr(ckptedit.text.load, "LARGE", 1)
    monkeypatch.setitem(FAMILIES, "sd1", model.family)
    found = project(model.file, "dog", neighbors=1, tokenizer=model.words)
    assert found.rank and len(found.neighbors) == 1
