"""Where a UNet looks: the probabilities are its own, and watching changes nothing."""

import pytest
import torch

from ckptedit.diffusion import open_model
from ckptedit.diffusion.attention import watched


@pytest.fixture
def model(checkpoint, family):
    return open_model(checkpoint, family=family, precision="float32")


def run(model, prompt="a cat in van gogh style"):
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return model.denoiser(latents, torch.tensor([500]), model.text.encode([prompt]).condition)


@torch.no_grad()
def test_watching_changes_nothing_and_ends(model):
    plain = run(model)
    with watched(model.unet) as seen:
        torch.testing.assert_close(run(model), plain)
    assert len(seen) > 1
    count = len(seen)
    assert torch.equal(run(model), plain) and len(seen) == count


@torch.no_grad()
def test_each_layer_looks_at_all_positions_by_shares(model):
    with watched(model.unet) as seen:
        run(model)
    for chances in seen:
        assert chances.shape[0] == 1 and chances.shape[3] == 16
        torch.testing.assert_close(chances.sum(-1), torch.ones(chances.shape[:3]))


def test_an_error_in_between_leaves_the_unet_as_it_was(model):
    before = [type(p) for p in model.unet.attn_processors.values()]
    with pytest.raises(ValueError), watched(model.unet):
        raise ValueError
    assert [type(p) for p in model.unet.attn_processors.values()] == before
