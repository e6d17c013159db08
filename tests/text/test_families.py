"""Every family reads text as diffusers reads it for the same modules, from either layout."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_models import KINDS, Small
from torch.testing import assert_close

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.files import Checkpoint
from ckptedit.text import TextEncoder, load_text_encoder

PROMPTS = ["a cat in van gogh style", "a dog", "a photo of a castle by monet"]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, smalls: Callable[..., Small]) -> Small:
    return smalls(request.param)


@pytest.fixture(params=["ldm", "folder"])
def encoder(request: pytest.FixtureRequest, model: Small) -> TextEncoder:
    return loaded(model, request.param)


def loaded(model: Small, layout: str = "ldm", **how: int) -> TextEncoder:
    path = model.file if layout == "ldm" else model.directory
    return load_text_encoder(Checkpoint(path), model.family, tokenizer=model.words, **how)


def test_embeddings_are_those_of_diffusers(model: Small, encoder: TextEncoder) -> None:
    theirs = model.pipeline().encode_prompt(
        PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True
    )
    ours, empty = encoder.encode(PROMPTS).condition, encoder.encode([""]).condition
    assert ours.tokens.std() > 0.1
    assert_close(ours.tokens, theirs[0], atol=1e-4, rtol=0)
    assert_close(empty.tokens.expand(3, -1, -1), theirs[1], atol=1e-4, rtol=0)
    assert encoder.width == model.family.text_width == ours.tokens.shape[-1]
    if model.family.name == "sdxl":
        assert ours.pooled is not None and empty.pooled is not None
        assert_close(ours.pooled, theirs[2], atol=1e-4, rtol=0)
        assert_close(empty.pooled.expand(3, -1), theirs[3], atol=1e-4, rtol=0)
    else:
        assert ours.pooled is None


def test_clip_skip_counts_as_a1111_does(model: Small) -> None:
    """diffusers counts the layers that are skipped: its 1 is A1111's 2, for SDXL its 0."""
    own = model.family.readers[0].layer
    encoder = loaded(model, clip_skip=own + 1)
    pipeline = model.pipeline()
    for name in ("text_encoder", "text_encoder_2"):  # diffusers asks for the older nesting
        module = getattr(pipeline, name, None)
        if module is not None and not hasattr(module, "text_model"):
            object.__setattr__(module, "text_model", module)
    theirs = pipeline.encode_prompt(
        PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False,
        clip_skip=1,
    )[0]  # fmt: skip
    assert_close(encoder.encode(PROMPTS).condition.tokens, theirs, atol=1e-4, rtol=0)
    again = loaded(model, clip_skip=own).encode(PROMPTS)
    usual = loaded(model).encode(PROMPTS)
    assert torch.equal(again.hidden, usual.hidden)


@pytest.mark.parametrize("skip", [0, 5])
def test_a_layer_that_is_not_there_is_refused(model: Small, skip: int) -> None:
    with pytest.raises(BadParam, match=rf"clip skip must be from \d to \d here, not {skip}"):
        loaded(model, clip_skip=skip)


def test_unpadded_prompts_are_the_same_up_to_their_end(model: Small) -> None:
    encoder = loaded(model)
    whole, short = encoder.encode(PROMPTS), encoder.encode_unpadded(PROMPTS)
    for row, other, length in zip(whole.hidden, short, whole.lengths, strict=True):
        assert_close(row[:length], other[:length], atol=1e-5, rtol=0)


def test_what_an_empty_prompt_is_to_sdxl_is_seen_by_the_denoiser_alone(
    smalls: Callable[..., Small],
) -> None:
    encoder = loaded(smalls("sdxl"))
    read = encoder.encode(["", "a cat"])
    assert read.condition.pooled is not None
    assert not read.condition.tokens[0].any() and not read.condition.pooled[0].any()
    assert read.condition.tokens[1].any() and read.condition.pooled[1].any()
    assert read.hidden[0].any()  # closed forms read what the encoder says


def test_a_missing_part_of_the_second_encoder_is_named(
    tmp_path: Path, smalls: Callable[..., Small]
) -> None:
    from safetensors.torch import load_file, save_file

    model = smalls("sdxl")
    tensors = load_file(model.file)
    del tensors["conditioner.embedders.1.model.text_projection"]
    save_file(tensors, tmp_path / "y.safetensors")
    with pytest.raises(BadCheckpoint, match=r"text_encoder_2 lacks .*text_projection"):
        load_text_encoder(
            Checkpoint(tmp_path / "y.safetensors"), model.family, tokenizer=model.words
        )
