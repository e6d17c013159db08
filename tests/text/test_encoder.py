"""What goes into the encoder comes out as the UNet reads it, or is refused by name."""

import gzip
from pathlib import Path

import pytest
import torch
from tiny_model import tiny_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ckptedit.errors import BadParam
from ckptedit.families import SD1, Family
from ckptedit.files import Checkpoint
from ckptedit.text import ClipEncoder, TextEncoder, load_text_encoder, token_embeddings
from ckptedit.text.tokenizer import MERGES, byte_alphabet, load_tokenizer

PROMPTS = ["a cat in van gogh style", "", "a dog"]


def test_hidden_states_are_those_of_transformers(encoder: TextEncoder) -> None:
    batch = encoder.tokenizer(PROMPTS, padding="max_length", max_length=16, return_tensors="pt")
    expected = encoder.transformer(batch.input_ids).last_hidden_state
    found = encoder.encode(PROMPTS)
    assert torch.equal(found.ids, batch.input_ids)
    assert found.hidden.dtype == torch.float32
    torch.testing.assert_close(found.hidden, expected)
    assert found.lengths.tolist() == [8, 2, 4]


def test_the_batch_does_not_change_the_embedding(encoder: TextEncoder) -> None:
    prompts = [f"a {word}" for word in ("cat", "dog", "tree", "castle", "photo")]
    small, large = encoder.encode(prompts, batch=2), encoder.encode(prompts)
    torch.testing.assert_close(small.hidden, large.hidden)


def test_leaving_out_the_padding_changes_nothing_before_it(encoder: TextEncoder) -> None:
    padded = encoder.encode(PROMPTS).hidden
    short = encoder.encode_unpadded(PROMPTS)
    assert short.shape[1] == 8
    torch.testing.assert_close(short, padded[:, :8])


def test_positions_are_where_the_concept_stands(encoder: TextEncoder) -> None:
    prompt = "van gogh painting of a cat in Van Gogh style"
    assert encoder.positions(prompt, "Van Gogh") == [1, 2, 8, 9]
    assert encoder.positions(prompt, "cat") == [6]
    ids = encoder.encode([prompt]).ids[0]
    assert ids[[1, 2]].tolist() == encoder.tokens("van gogh") == ids[[8, 9]].tolist()


def test_a_concept_that_is_not_in_the_prompt_is_an_error(encoder: TextEncoder) -> None:
    with pytest.raises(BadParam, match="not in the prompt"):
        encoder.positions("a cat in monet style", "van gogh")


@pytest.mark.parametrize("concept", ["", "   "])
def test_an_empty_concept_is_refused(encoder: TextEncoder, concept: str) -> None:
    with pytest.raises(BadParam, match="is empty"):
        encoder.require_concept(concept)


def test_a_concept_that_is_too_long_is_refused_with_both_numbers(encoder: TextEncoder) -> None:
    assert len(encoder.require_concept("cat " * 14)) == 14
    with pytest.raises(BadParam, match=r"has 15 tokens; the encoder takes 14"):
        encoder.require_concept("cat " * 15)


def test_a_prompt_that_is_too_long_is_refused_and_not_cut(encoder: TextEncoder) -> None:
    with pytest.raises(BadParam, match=r"has 20 tokens; the encoder takes 14"):
        encoder.encode(["a cat", "dog " * 20])


def test_no_prompts_are_refused(encoder: TextEncoder) -> None:
    with pytest.raises(BadParam, match="no prompts"):
        encoder.encode([])


def test_the_silently_empty_tokenizer_is_refused(tmp_path: Path, encoder: TextEncoder) -> None:
    silent = CLIPTokenizer.from_pretrained(str(tmp_path))
    assert len(silent) < 10  # what transformers makes of an empty folder, without a word
    with pytest.raises(BadParam, match="do not belong together"):
        ClipEncoder(silent, encoder.transformer)
    with pytest.raises(BadParam, match="no tokenizer in"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(encoder: TextEncoder) -> None:
    other = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=700, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=1,
        )
    )  # fmt: skip
    with pytest.raises(BadParam, match="700 rows"):
        ClipEncoder(encoder.tokenizer, other)


def test_a_family_without_a_vocabulary_asks_for_one(checkpoint: Path, family: Family) -> None:
    from dataclasses import replace

    without = replace(family, folder=SD1.folder)
    with pytest.raises(BadParam, match=r"--tokenizer PATH"):
        load_text_encoder(Checkpoint(checkpoint), without)


def test_vocab_and_merges_make_the_same_tokenizer_as_tokenizer_json(tmp_path: Path) -> None:
    import json

    whole = tmp_path / "whole"
    tiny_tokenizer().save_pretrained(whole)
    made = json.loads((whole / "tokenizer.json").read_text())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(made["vocab"]))
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in made["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n")
    one, two = load_tokenizer(whole), load_tokenizer(tmp_path)
    text = "a castle in Van Gogh style, unheard of"
    assert one(text).input_ids == two(text).input_ids


def test_the_gz_file_makes_clips_numbers(tmp_path: Path) -> None:
    """A stand-in of the real length: clip's ids of bytes, merges and the two ends are known."""
    pairs = [("c", "a"), ("ca", "t</w>")]
    letters = [letter for letter in byte_alphabet() if letter not in "cat"]
    filler = [(first, second) for first in letters for second in letters][: MERGES - 2]
    lines = ["#version", *(" ".join(pair) for pair in pairs + filler), "more than is used"]
    path = tmp_path / "bpe.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    tokenizer = load_tokenizer(path)
    assert len(tokenizer) == 49_408
    assert tokenizer("cat a").input_ids == [49_406, 513, 320, 49_407]
    assert tokenizer.pad_token_id == 49_407


def test_what_is_no_gz_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bpe.txt.gz"
    path.write_bytes(b"not gzip")
    with pytest.raises(BadParam, match="is not a tokenizer"):
        load_tokenizer(path)
    path.write_bytes(gzip.compress(b"#version\na b\n"))
    with pytest.raises(BadParam, match="does not hold"):
        load_tokenizer(path)
    with pytest.raises(BadParam, match="there is no tokenizer"):
        load_tokenizer(tmp_path / "absent")


def test_token_rows_are_the_concepts_or_all(encoder: TextEncoder) -> None:
    prompts = ["a cat", "a van gogh painting"]
    hidden = encoder.encode(prompts).hidden
    everything = token_embeddings(encoder, prompts)
    assert everything.shape == (32, 32)
    own = token_embeddings(encoder, prompts, ["cat", "van gogh"])
    torch.testing.assert_close(own, torch.stack([hidden[0, 2], hidden[1, 2], hidden[1, 3]]))


def test_what_is_kept_is_computed_once_and_nobody_can_change_it(encoder: TextEncoder) -> None:
    made: list[int] = []

    def asked(given: object) -> int:
        return encoder.once("here", lambda: made.append(1) or len(made), given=given)

    assert [asked(given) for given in (None, None, "a", "a", "b")] == [1, 1, 2, 2, 3]
    tokens = encoder.tokens("van gogh")
    tokens.append(0)
    assert encoder.tokens("van gogh") == tokens[:-1]
