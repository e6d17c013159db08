"""One owner of precision: what computes in which format, and what stays float32."""

import pytest
import torch

from ckptedit.diffusion import Model, decode, open_model
from ckptedit.diffusion.device import resolve_precision, trainable
from ckptedit.families import Family
from ckptedit.families.kv import kv_role


def test_of_a_half_width_unet_only_keys_and_values_are_float32(checkpoint, family) -> None:
    unet = open_model(checkpoint, family=family, precision="bfloat16").unet
    for name, parameter in unet.named_parameters():
        wide = bool(kv_role(name))
        assert parameter.dtype == (torch.float32 if wide else torch.bfloat16), name


def test_gradients_of_keys_and_values_are_float32_in_half_width(checkpoint, family: Family) -> None:
    model = open_model(checkpoint, family=family, precision="bfloat16")
    model.unet.requires_grad_(False)
    wide = [p for n, p in model.unet.named_parameters() if kv_role(n)]
    for parameter in wide:
        parameter.requires_grad_(True)
    text = model.text.encode(["a cat"]).condition
    with model.autocast():
        seen = model.denoiser(torch.randn(1, *model.latent_shape), torch.tensor([500]), text)
    seen.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 and p.grad.any() for p in wide)


def test_nothing_is_trained_in_float16(checkpoint, family) -> None:
    assert trainable(torch.float16) is None
    assert trainable(torch.bfloat16) == torch.bfloat16 and trainable(None) is None
    model = open_model(checkpoint, family=family, precision="float16", training=True)
    assert model.half is None


@pytest.mark.parametrize(("real", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float16(monkeypatch, real, expected) -> None:
    def supported(*, including_emulation: bool = True) -> bool:
        return real or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert resolve_precision("auto", torch.device("cuda")) == expected


def test_the_vae_decodes_two_pictures_of_64_by_64_latents_at_a_time(model: Model) -> None:
    sizes: list[int] = []
    model.vae.post_quant_conv.register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0]))
    )
    with torch.no_grad():
        pictures = decode(model, torch.zeros(5, 4, 64, 64))
    assert sizes == [2, 2, 1] and len(pictures) == 5
