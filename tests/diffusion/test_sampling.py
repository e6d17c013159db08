"""Sampling: paired noise, guidance, batches, the schedule, and bad requests."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from tiny_model import SCHEDULER
from torch import Tensor
from torch.testing import assert_close

from ckptedit.diffusion import (
    Denoiser,
    Model,
    Schedule,
    choose_threads,
    noise_for,
    noises_for,
    resolve_device,
    sample,
    sample_latents,
    solve,
    threads,
)
from ckptedit.diffusion.device import resolve_precision
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.text import Condition

SHAPE = (4, 8, 8)


def test_noise_depends_on_its_key_alone() -> None:
    torch.manual_seed(1)
    first = noise_for(SHAPE, "Monet", "cat", 3)
    torch.manual_seed(2)
    assert torch.equal(noise_for(SHAPE, "Monet", "cat", 3), first)
    others = [("Monet", "cat", 4), ("Monet", "cat"), ("Monetc", "at", 3), ("Monet", "cat", "3")]
    for other in others:
        assert not torch.equal(noise_for(SHAPE, *other), first)


def test_noise_is_standard_normal() -> None:
    noise = noise_for((200_000,), "any")
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01


def test_a_known_key_gives_known_noise() -> None:
    """So that pictures of this version can be compared with those of the next."""
    expected = torch.tensor([-1.9915, -1.0356, 2.7367, 0.5027])
    found = noise_for(SHAPE, "Van Gogh", "Cat", 0)
    assert_close(found[0, 0, :4], expected, atol=1e-4, rtol=0)


def test_batch_and_order_do_not_change_a_picture(model: Model) -> None:
    prompts = ["a cat", "a dog", "a castle", "a cat"]
    noise = noises_for(SHAPE, [(i,) for i in range(4)])
    together = sample_latents(model, prompts, noise=noise, steps=3)
    model.batch = 1
    alone = sample_latents(model, prompts[::-1], noise=noise.flip(0), steps=3)
    assert_close(alone.flip(0), together, atol=1e-4, rtol=1e-4)


def test_pictures_are_bytes_of_the_right_size_and_differ_by_prompt(model: Model) -> None:
    noise = noise_for(SHAPE, 0).expand(2, -1, -1, -1)
    pictures = sample(model, ["a cat", "monet"], noise=noise, steps=2)
    assert pictures.shape == (2, 16, 16, 3)
    assert pictures.dtype == np.uint8
    assert (pictures[0] != pictures[1]).any()


def test_without_noise_the_prompt_decides(model: Model) -> None:
    latents = sample_latents(model, ["a cat", "a dog"], steps=2)
    noise = noises_for(SHAPE, [("a cat", 0), ("a dog", 0)])
    assert torch.equal(latents, sample_latents(model, ["a cat", "a dog"], noise=noise, steps=2))


def test_guidance_of_one_needs_no_empty_prompt_and_two_goes_beyond(model: Model) -> None:
    noise = noise_for(SHAPE, 0)[None]
    text = model.text.encode(["", "a cat"]).condition
    with torch.no_grad():
        plain, zero, two = (
            solve(model.denoiser, noise, text[:1], text[1:], 1, g) for g in (1.0, 0.0, 2.0)
        )
    assert_close(two - zero, 2 * (plain - zero), atol=1e-4, rtol=1e-4)  # one step is linear in w
    assert (plain - zero).abs().max() > 1e-4


class PerfectDenoiser(Denoiser):
    """Knows that the picture is `clean`, and so the noise at every step."""

    def __init__(self, clean: Tensor, schedule: Schedule) -> None:
        self.clean, self.schedule = clean, schedule

    def output(self, latents: Tensor, t: Tensor, text: Condition) -> Tensor:
        signal, spread = self.schedule.weights(t, latents)
        return (latents - signal * self.clean) / spread


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_a_perfect_denoiser_ends_at_the_picture(steps: int) -> None:
    clean = noise_for(SHAPE, "clean")[None]
    perfect = PerfectDenoiser(clean, Schedule(SCHEDULER))
    text = Condition(torch.zeros(1, 1, 1))
    end = solve(perfect, noise_for(SHAPE, 0)[None], text, text, steps, 1.0)
    assert_close(end, clean, atol=1e-4, rtol=1e-4)


def test_the_schedule_is_that_of_diffusers() -> None:
    ours = Schedule(SCHEDULER)
    theirs = DDIMScheduler.from_config(SCHEDULER)
    assert_close(ours.alphas_cumprod, theirs.alphas_cumprod)
    clean, noise = torch.randn(2, *SHAPE), torch.randn(2, *SHAPE)
    t = torch.tensor([10, 900])
    assert_close(ours.add_noise(clean, noise, t), theirs.add_noise(clean, noise, t))


def test_a_velocity_is_turned_into_the_noise_it_stands_for() -> None:
    velocity = Schedule(SCHEDULER | {"prediction_type": "v_prediction"})
    clean, noise = torch.randn(2, *SHAPE), torch.randn(2, *SHAPE)
    t = torch.tensor([10, 900])
    theirs = DDIMScheduler.from_config(SCHEDULER).get_velocity(clean, noise, t)
    noised = velocity.add_noise(clean, noise, t)
    assert_close(velocity.to_epsilon(theirs, noised, t), noise, atol=1e-5, rtol=1e-5)


def test_a_stretched_schedule_is_that_of_diffusers_and_ends_without_a_signal() -> None:
    told = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    ours = Schedule(SCHEDULER | told)
    theirs = DPMSolverMultistepScheduler.from_config(SCHEDULER | told)
    assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, atol=1e-7, rtol=1e-4)
    assert ours.alphas_cumprod[-1] == 2.0**-24 and float(ours.betas[-1]) > 0.6
    usual = Schedule(SCHEDULER)
    assert_close(ours.alphas_cumprod[0], usual.alphas_cumprod[0])
    assert_close(ours.betas[:1], usual.betas[:1])


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match="cosine"):
        Schedule(SCHEDULER | {"beta_schedule": "cosine"})


@pytest.mark.parametrize(
    ("prompts", "options", "said"),
    [
        ([], {}, "no prompts"),
        (["a cat"], {"steps": 0}, "steps must be 1 or more"),
        (["a cat"], {"noise": torch.zeros(2, *SHAPE)}, r"need noise \[1, 4, 8, 8\]"),
        (["a cat"], {"noise": torch.zeros(1, 3, 8, 8)}, r"got \[1, 3, 8, 8\]"),
    ],
)
def test_what_cannot_be_sampled_is_refused(
    model: Model, prompts: list[str], options: dict[str, object], said: str
) -> None:
    with pytest.raises(BadParam, match=said):
        sample(model, prompts, **options)  # type: ignore[arg-type]


def test_half_precision_draws_nearly_the_same(model: Model) -> None:
    noise = noise_for(SHAPE, 0)[None]
    exact = sample_latents(model, ["a cat"], noise=noise, steps=4)
    model.half = torch.bfloat16
    rough = sample_latents(model, ["a cat"], noise=noise, steps=4)
    assert rough.dtype == torch.float32
    assert 0 < float((rough - exact).norm() / exact.norm()) < 0.05


def test_precision_and_device_are_checked() -> None:
    cpu = resolve_device("cpu")
    assert resolve_precision("float32", cpu) is None
    assert resolve_precision("float16", cpu) is torch.float16
    assert resolve_precision("auto", cpu) in (None, torch.bfloat16)
    with pytest.raises(BadParam, match="float8"):
        resolve_precision("float8", cpu)
    with pytest.raises(BadParam, match="not supported"):
        resolve_device("meta")


def test_threads_are_given_back(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert choose_threads(model.unet) == before  # OMP_NUM_THREADS is set for the tests
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= choose_threads(model.unet) <= 2
