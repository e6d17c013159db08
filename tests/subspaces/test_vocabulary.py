"""The second moment of the vocabulary is what it says, and is computed once."""

from pathlib import Path

import pytest
import torch
from tiny_model import text_config, tiny_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel

from ckptedit.concepts import Lexicon, prompts_for
from ckptedit.subspaces import second_moment, vocabulary_moment
from ckptedit.subspaces import vocabulary as module
from ckptedit.subspaces.vocabulary import lexicon_prompts, vocabulary_ids
from ckptedit.text import ClipEncoder, TextEncoder

SMALL_WORLD = Lexicon(("monet", "hokusai"), ("cat", "dog", "tree"))


def test_the_moment_is_half_vocabulary_half_lexicon(encoder: TextEncoder) -> None:
    tokens = second_moment(encoder.encode_ids(vocabulary_ids(encoder)))
    lines = second_moment(encoder.encode(lexicon_prompts(SMALL_WORLD)).hidden)
    torch.testing.assert_close(
        vocabulary_moment(encoder, SMALL_WORLD), (tokens + lines) / 2, atol=1e-5, rtol=1e-5
    )


def test_every_token_stands_once_in_every_frame(encoder: TextEncoder) -> None:
    ids = vocabulary_ids(encoder)
    plain = len(encoder.tokenizer) - 2
    assert ids.shape == (3 * plain, 16)
    first = ids[:plain]
    assert sorted(first[:, 1].tolist()) == list(range(plain))
    assert (first[:, 2] == encoder.tokenizer.eos_token_id).all()


def test_a_large_vocabulary_is_shuffled_into_full_prompts(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SINGLY", 10)
    ids = vocabulary_ids(encoder)
    plain = set(range(len(encoder.tokenizer) - 2))
    half = ids[: len(ids) // 2]
    assert set(half[:, 1:-1].flatten().tolist()) == plain
    assert set(ids[len(ids) // 2 :, 1:-1].flatten().tolist()) == plain
    assert (ids[:, 0] == encoder.tokenizer.bos_token_id).all()
    assert (ids[:, -1] == encoder.tokenizer.eos_token_id).all()


def test_every_concept_of_the_lexicon_is_in_the_prompts() -> None:
    prompts = lexicon_prompts(SMALL_WORLD)
    for word in ("monet", "hokusai", "cat", "dog", "tree"):
        assert sum(word in prompt for prompt in prompts) >= 5


def test_the_second_time_it_is_read_from_disk(
    encoder: TextEncoder, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = vocabulary_moment(encoder, SMALL_WORLD)
    monkeypatch.setattr(module, "_moment", lambda *_: pytest.fail("computed again"))
    assert torch.equal(vocabulary_moment(encoder, SMALL_WORLD), first)


def test_other_weights_have_another_digest(encoder: TextEncoder) -> None:
    torch.manual_seed(1)
    other = ClipEncoder(tiny_tokenizer(), CLIPTextModel(CLIPTextConfig(**text_config())))
    assert other.digest() != encoder.digest()
    assert encoder.digest() == encoder.digest()


def test_another_lexicon_has_another_moment(encoder: TextEncoder, own_cache: Path) -> None:
    first = vocabulary_moment(encoder, SMALL_WORLD)
    other = Lexicon(("monet",), ("dog", "tree"))
    assert not torch.equal(vocabulary_moment(encoder, other), first)


def test_a_lexicon_of_one_kind_is_read_too() -> None:
    assert lexicon_prompts(Lexicon(("monet",), ())) == prompts_for("monet", "style")
