"""The bank: what the student reads, what the teacher reads, and what is kept of it."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from ckptedit.concepts.prompts import Pair
from ckptedit.diffusion import open_model
from ckptedit.diffusion.moments import EMPTY, OWN, Want
from ckptedit.diffusion.schedule import Schedule
from ckptedit.erasure import bank as module
from ckptedit.erasure.bank import bank, noise_keys
from ckptedit.erasure.trained import predict

PAIRS = [Pair("a cat in van gogh style", "a photo of a cat"), Pair("a dog", "a castle")]
SIZE = {"pictures": 2, "moments": 3, "seed": 0}


@pytest.fixture(params=["float32", "bfloat16"])
def model(checkpoint, family, own_cache, request):
    return open_model(checkpoint, family=family, precision=request.param)


def test_the_student_reads_the_prompt_and_the_teacher_the_anchor(model):
    found = bank(model, PAIRS, **SIZE)
    assert len(found) == 6
    order = [0, 1] if torch.equal(found.text.tokens[0], read(model, PAIRS[0].prompt)) else [1, 0]
    for row in range(6):
        pair = PAIRS[order[row // 3]]
        assert torch.equal(found.text.tokens[row], read(model, pair.prompt))
        told = model.text.encode([pair.anchor]).condition
        with torch.no_grad(), model.autocast():
            seen = model.denoiser(found.latents[row : row + 1], found.t[row : row + 1], told)
        scale = found.aim[row].abs().max()
        assert (found.aim[row] - seen[0].float()).abs().max() < 0.01 * scale


def read(model, prompt):
    return model.text.encode([prompt]).hidden[0]


def test_the_student_agrees_with_the_teacher_on_what_stays_before_the_first_step(model):
    """Both compute in one precision, so distillation starts at nothing."""
    same = [Pair(pair.prompt, pair.prompt) for pair in PAIRS]
    found = bank(model, same, **SIZE)
    with torch.no_grad():
        distance = (predict(model, found) - found.aim).square().mean()
    assert distance <= 1e-10 * found.aim.square().mean()


def test_a_bank_that_was_filled_before_is_not_drawn_again(model, monkeypatch):
    first = bank(model, PAIRS, **SIZE)
    monkeypatch.setattr(module, "sample_latents", None)
    again = bank(model, PAIRS, **SIZE)
    for name in ("latents", "t", "aim"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    with pytest.raises(TypeError):  # another seed is another bank
        bank(model, PAIRS, **{**SIZE, "seed": 1})


def test_a_bank_is_of_one_checkpoint(checkpoint, family, own_cache, tmp_path, monkeypatch):
    bank(open_model(checkpoint, family=family, precision="float32"), PAIRS, **SIZE)
    other = tmp_path / "other.safetensors"
    save_file({name: 1.01 * tensor for name, tensor in load_file(checkpoint).items()}, other)
    monkeypatch.setattr(module, "sample_latents", None)
    with pytest.raises(TypeError):
        bank(open_model(other, family=family, precision="float32"), PAIRS, **SIZE)


def test_every_picture_has_noise_of_its_own_that_its_anchor_and_number_decide():
    assert noise_keys(["a", "b", "a"], 7) == [("a", 7, 0), ("b", 7, 0), ("a", 7, 1)]


def test_every_moment_is_its_own_picture_with_as_much_noise_as_its_timestep_says(
    model, monkeypatch
):
    def flat(model, prompts, **_):
        return torch.stack([torch.full(model.latent_shape, 10.0 * i) for i in range(len(prompts))])

    monkeypatch.setattr(module, "sample_latents", flat)
    found = bank(model, PAIRS, **SIZE)
    clean = torch.tensor([0.0, 0, 0, 10, 10, 10]).view(-1, 1, 1, 1)
    signal, spread = model.schedule.weights(found.t, found.latents)
    noise = ((found.latents - signal * clean) / spread).flatten(1)
    assert noise.mean(1).abs().max() < 0.3 and (noise.std(1) - 1).abs().max() < 0.2
    assert not torch.equal(noise[0], noise[1])


def test_a_bank_is_of_one_schedule_and_one_size(checkpoint, family):
    model = open_model(checkpoint, family=family)
    found = model.fingerprint()
    model.schedule = Schedule(model.schedule.config | {"beta_end": 0.02})
    assert model.fingerprint() != found


@torch.no_grad()
def test_views_are_the_frozen_model_under_the_prompt_itself_and_under_none(model):
    found = bank(model, PAIRS, want=Want("targets", views=(OWN, EMPTY)), **SIZE)
    with model.autocast():
        for view, text in ((OWN, found.text), (EMPTY, model.text.encode([""]).condition.repeat(6))):
            seen = model.denoiser(found.latents, found.t, text).float()
            assert (found.views[view] - seen).abs().max() < 0.02 * seen.abs().max()


@pytest.mark.parametrize("states", ["anchor", "own", "path"])
def test_the_noise_and_the_clean_picture_make_the_latents(model, states):
    """All moments of one picture have one clean picture."""
    found = bank(model, PAIRS, want=Want("targets", states), **SIZE)
    signal, spread = model.schedule.weights(found.t, found.latents)
    clean = (found.latents - spread * found.noise) / signal
    early = found.t < 900  # where there is some signal
    for picture in (slice(0, 3), slice(3, 6)):
        some = clean[picture][early[picture]]
        assert (some - some[:1]).abs().max() < 0.02 * some.abs().max()
    if states == "path":
        assert found.t[:3].tolist() == sorted(found.t[:3].tolist(), reverse=True)


def test_pictures_are_of_the_prompt_or_of_its_anchor(model):
    """The same noise key draws the same picture, whoever asked for it."""
    swapped = [Pair(pair.anchor, pair.prompt) for pair in PAIRS]
    own = bank(model, PAIRS, want=Want("targets", "own"), **SIZE)
    assert torch.equal(own.latents, bank(model, swapped, **SIZE).latents)


def test_a_moment_knows_which_target_it_is_of(model):
    pairs = [Pair("a cat", "a dog", which=4), Pair("a dog", "a cat", which=7)]
    found = bank(model, pairs, **SIZE)
    first = torch.equal(found.text.tokens[0], read(model, "a cat"))
    assert found.which.tolist() == ([4] * 3 + [7] * 3 if first else [7] * 3 + [4] * 3)


def test_the_words_of_a_targets_name_are_found_in_every_moment_of_its_prompts(model):
    pairs = [Pair("a cat in van gogh style", "a photo", name="van gogh"), Pair("a dog", "a dog")]
    found = bank(model, pairs, **SIZE)
    named = found.named.tolist()
    words = [position in (4, 5) for position in range(16)]  # begin, a, cat, in, van, gogh
    other = [False] * 16
    first = torch.equal(found.text.tokens[0], read(model, pairs[0].prompt))
    assert named == ([words] * 3 + [other] * 3 if first else [other] * 3 + [words] * 3)
