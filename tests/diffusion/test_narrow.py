"""Weights that stay as narrow as the file compute what wide ones do, and no wide copy is kept."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_models import Small
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import Conv2d, Linear, Module, Sequential, SiLU
from torch.testing import assert_close

from ckptedit.diffusion import open_model
from ckptedit.diffusion.narrow import hold_narrow
from ckptedit.families import kv_role


def network() -> Module:
    torch.manual_seed(0)
    layers = (Conv2d(4, 6, 3, stride=2, padding=1), SiLU(), Conv2d(6, 5, 1, bias=False))
    return Sequential(*layers, SiLU(), Linear(4, 3), SiLU(), Linear(3, 2, bias=False))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_layers_and_their_gradients_are_those_of_wide_ones(dtype: torch.dtype) -> None:
    wide, narrow = network().to(dtype).float(), network().to(dtype)
    hold_narrow(narrow)
    x = torch.randn(2, 4, 8, 8)
    results = []
    for net in (wide, narrow):
        net.requires_grad_(False)
        given = x.clone().requires_grad_(True)
        y = net(given)
        y.square().sum().backward()
        results.append((y.detach(), given.grad))
    assert all(parameter.dtype == dtype for parameter in narrow.parameters())
    assert_close(results[1][0], results[0][0], rtol=0, atol=0)
    assert_close(results[1][1], results[0][1])


def test_no_wide_weight_outlives_its_layer() -> None:
    net = Sequential(Linear(64, 64), SiLU(), Linear(64, 64)).half()
    hold_narrow(net)
    net.requires_grad_(False)
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        net(torch.zeros(1, 64, requires_grad=True))
    assert max(kept) < 64 * 64


@pytest.fixture
def half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smalls: Callable[..., Small]
) -> Path:
    """A checkpoint in float16, of a size that counts as large."""
    from safetensors.torch import load_file, save_file

    monkeypatch.setattr("ckptedit.diffusion.model.SMALL", 1)
    model, path = smalls("sd2"), tmp_path / "x.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(model.file).items()}, path)
    (tmp_path / "tokenizer").symlink_to(model.words)
    monkeypatch.setitem(__import__("ckptedit").families.FAMILIES, "sd2", model.family)
    return path


def test_a_unet_is_as_narrow_as_its_file_but_for_keys_values_and_vectors(
    half_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_model(half_file, prediction="epsilon", precision="float32")
    for name, parameter in model.unet.named_parameters():
        wide = bool(kv_role(name)) or parameter.ndim == 1
        assert parameter.dtype == (torch.float32 if wide else torch.float16), name
    monkeypatch.setattr("ckptedit.diffusion.model.SMALL", 10**9)
    usual = open_model(half_file, prediction="epsilon", precision="float32")
    assert all(parameter.dtype == torch.float32 for parameter in usual.unet.parameters())
    latents, t = torch.randn(1, 4, 8, 8), torch.tensor([500])
    text = model.text.encode(["a cat"]).condition
    with torch.no_grad():
        assert torch.equal(model.denoiser(latents, t, text), usual.denoiser(latents, t, text))


def test_a_third_of_a_packed_matrix_does_not_keep_the_rest(smalls: Callable[..., Small]) -> None:
    made = smalls("sd2")
    model = open_model(made.file, family=made.family, tokenizer=made.words, prediction="epsilon")
    for name, parameter in model.text.transformer.named_parameters():
        assert parameter.untyped_storage().nbytes() == 4 * parameter.numel(), name
