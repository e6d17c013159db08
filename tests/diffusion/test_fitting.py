"""What a pass takes is what it takes when it is run, and a plan's sums are those of a hand."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from small_models import Small
from torch.autograd.graph import saved_tensors_hooks
from torch.testing import assert_close

from ckptedit.diffusion import open_model
from ckptedit.diffusion.fitting import Plan, Sizes, fit, free_memory, whole_memory
from ckptedit.diffusion.footprint import Footprint, footprint
from ckptedit.diffusion.moments import Moments
from ckptedit.erasure.trained import predict
from ckptedit.errors import BadParam, Busy
from ckptedit.families import kv_role
from ckptedit.files import Checkpoint
from ckptedit.text.load import held_bytes, load_text_encoder

GB = 10**9
EACH = Footprint(held=2 * GB, thin=GB // 2, block=GB // 4)
# 1 GB frozen, 23 bytes for each of a hundred million numbers, half a GB spare: 3.8 GB; and what may
# leave: 8 bytes for each number, and text encoders and VAE of 0.4 GB: 5 GB
SIZES = Sizes(frozen=GB, trained=10**8, aside=4 * GB // 10, each=EACH)


@pytest.mark.parametrize(
    ("budget", "rows", "anew", "offload", "peak"),
    [
        (13.0, 4, False, False, 13.0),  # 5 + 4 * 2
        (12.9, 4, False, True, 11.8),  # 3.8 + 4 * 2
        (11.7, 4, True, True, 6.8),  # 3.8 + 4 * 0.75
        (6.8, 4, True, True, 6.8),
        (6.7, 1, False, True, 5.8),  # 3.8 + 2: one at a time costs as much time as blocks do
        (5.7, 2, True, True, 5.3),  # 3.8 + 2 * 0.75
        (4.6, 1, True, True, 4.55),
    ],
)
def test_the_plan_is_the_fastest_that_fits(
    budget: float, rows: int, anew: bool, offload: bool, peak: float
) -> None:
    assert (SIZES.fixed(False), SIZES.fixed(True)) == (5 * GB, 38 * GB // 10)
    found = fit(SIZES, 4, int(budget * GB))
    assert found == Plan(rows, anew, offload, int(peak * GB))


def test_what_does_not_fit_is_refused_with_what_it_would_take() -> None:
    with pytest.raises(BadParam, match=r"needs 4\.5 GB of memory, and has 4\.5 GB; edit fewer"):
        fit(SIZES, 4, 45 * GB // 10)


def test_a_plan_says_what_it_is() -> None:
    assert str(Plan(1, True, True, 5 * GB)) == (
        "1 picture at a time, blocks computed anew for their gradients, text encoders and VAE "
        "aside, at most 5.0 GB"
    )
    assert str(Plan(2, False, False, GB)) == "2 pictures at a time, at most 1.0 GB"


def kept(unet: Any, config: dict[str, Any]) -> int:
    """Bytes that a real pass keeps, weights left out."""
    weights = {weight.untyped_storage().data_ptr() for weight in unet.parameters()}
    held: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage()
        if place.data_ptr() not in weights:
            held[place.data_ptr()] = place.nbytes()
            alive.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        unet(torch.randn(1, 4, 8, 8), 500, encoder_hidden_states=torch.randn(1, 16, 24))
    return sum(held.values())


def test_the_footprint_is_what_a_real_pass_keeps(smalls: Callable[..., Small]) -> None:
    made = smalls("sd1")
    config = json.loads((made.family.folder / "unet" / "config.json").read_text())
    found = footprint(
        lambda: UNet2DConditionModel.from_config(config), (4, 8, 8), (16, 24), torch.float32
    )
    unet = deepcopy(made.modules["unet"]).requires_grad_(False)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(bool(kv_role(name)))
    real = kept(unet, config)
    assert abs(found.held - real) < 0.1 * real
    unet.enable_gradient_checkpointing()
    thin = kept(unet.train(), config)
    assert abs(found.thin - thin) < 0.1 * thin and found.thin + found.block < found.held


@pytest.mark.parametrize("anew", [False, True])
def test_passes_that_are_cut_have_the_gradients_of_the_whole(
    smalls: Callable[..., Small], anew: bool
) -> None:
    made = smalls("sdxl")
    found = []
    for plan in (None, Plan(2, anew, True, GB)):
        model = open_model(made.file, family=made.family, tokenizer=made.words, precision="float32")
        model.plan = plan
        rng = torch.Generator().manual_seed(0)
        latents, t = torch.randn(3, 4, 8, 8, generator=rng), torch.tensor([1, 500, 999])
        text = model.text.encode(["a cat", "a dog", "van gogh"]).condition
        rows = torch.arange(3)
        shown = Moments(latents, t, text, latents, text, latents, rows, rows[:, None] > 0)
        weights = [w for n, w in model.unet.named_parameters() if kv_role(n)]
        for weight in weights:
            weight.requires_grad_(True)
        seen = predict(model, shown)
        found.append([seen.detach(), *torch.autograd.grad(seen.square().sum(), weights)])
    for whole, cut in zip(*found, strict=True):
        assert_close(cut, whole, rtol=1e-4, atol=1e-4 * float(whole.abs().max()))


def test_a_plan_is_made_of_the_files_sizes(smalls: Callable[..., Small]) -> None:
    made = smalls("sdxl")
    model = open_model(made.file, family=made.family, runs=False)
    model.half = torch.bfloat16
    model.cut_to_fit(1000, 3)
    assert model.plan is None  # it is small
    model.cut_to_fit(1000, 3, 10 * GB)
    count = {
        name: sum(weight.numel() for weight in module.parameters())
        for name, module in made.modules.items()
    }
    unet = count.pop("unet")
    rest = sum(count.values())
    assert model.parameters == unet and model.plan is not None
    fixed = 2 * (unet - 1000) + 4 * rest + 31 * 1000 + GB // 2  # nothing leaves a processor
    assert model.plan == Plan(3, False, False, fixed + 3 * model.footprint.held)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_text_encoders_are_counted_as_they_are_held(smalls, monkeypatch, elsewhere: bool) -> None:
    made = smalls("sdxl")
    words = load_text_encoder(Checkpoint(made.file), made.family, tokenizer=made.words)
    peaks = []
    for large in (10**9, 1):
        monkeypatch.setattr("ckptedit.text.load.LARGE", large)
        text = words if elsewhere else None
        model = open_model(made.file, family=made.family, text=text, runs=False)
        model.cut_to_fit(1000, 1, 10 * GB)
        assert model.plan is not None
        peaks.append(model.plan.peak - held_bytes(model.checkpoint, made.family))
    assert (peaks[0] == peaks[1]) is not elsewhere


@pytest.mark.parametrize(("whole", "error"), [(GB, Busy), (2000, BadParam)])
def test_what_would_fit_without_others_is_worth_another_try(smalls, monkeypatch, whole, error):
    made = smalls("sdxl")
    model = open_model(made.file, family=made.family, runs=False)
    monkeypatch.setattr("ckptedit.diffusion.model.SMALL", 0)
    monkeypatch.setattr("ckptedit.diffusion.model.free_memory", lambda device: 1000)
    monkeypatch.setattr("ckptedit.diffusion.model.whole_memory", lambda device: whole)
    with pytest.raises(error) as caught:
        model.cut_to_fit(1000, 3)
    assert caught.type is error


def test_the_machine_s_memory_is_a_number_of_bytes() -> None:
    here = torch.device("cpu")
    assert 10**8 < free_memory(here) < whole_memory(here) < 10**13
