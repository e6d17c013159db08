"""Text encoders in folders of their own, read as diffusers' pipelines read them."""

from pathlib import Path

import pytest
import torch
from diffusers import ChromaPipeline, FluxPipeline
from diffusers.modular_pipelines.anima.encoders import AnimaTextEncoderStep
from safetensors.torch import load_file, save_file
from transformer_files import (
    NARROW,
    adapter,
    as_pipeline,
    checkpoint,
    pipeline,
    qwen,
    t5,
    tokenizer,
)

from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import SD1
from ckptedit.files import Checkpoint
from ckptedit.text.outside import FILLED, load_outside, read_elsewhere, states

PROMPTS = ["a painting in van gogh style", "cat", ""]


def test_flux_reads_t5_filled_up_as_its_pipeline_does() -> None:
    model, its = t5(64), tokenizer(ends=True)
    own = as_pipeline(tokenizer_2=its, text_encoder_2=model, text_encoder=model)
    expected = FluxPipeline._get_t5_prompt_embeds(own, PROMPTS, max_sequence_length=32)
    found = states(model, its, PROMPTS, 32)
    assert [len(rows) for rows in found] == [7 + FILLED, 2 + FILLED, 1 + FILLED]
    for rows, theirs in zip(found, expected, strict=True):
        assert torch.allclose(rows, theirs[: len(rows)], atol=1e-5)


def test_chroma_reads_the_prompt_and_one_token_of_padding() -> None:
    model, its = t5(64), tokenizer(ends=True)
    own = as_pipeline(tokenizer=its, text_encoder=model)
    expected, seen = ChromaPipeline._get_t5_prompt_embeds(own, PROMPTS, max_sequence_length=32)
    found = states(model, its, PROMPTS)
    assert [len(rows) for rows in found] == seen.sum(dim=1).int().tolist()
    for rows, theirs in zip(found, expected, strict=True):
        assert torch.allclose(rows, theirs[: len(rows)], atol=1e-5)


def test_anima_reads_qwen_through_the_blocks_of_its_checkpoint(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "pipeline", "anima")
    own = as_pipeline(
        tokenizer=tokenizer(ends=False), text_encoder=qwen(), t5_tokenizer=tokenizer(ends=True)
    )
    given = AnimaTextEncoderStep.encode_prompt(own, PROMPTS, prepare_unconditional_embeds=False)
    with torch.no_grad():
        expected = adapter()(
            source_hidden_states=given["qwen_prompt_embeds"],
            target_input_ids=given["t5_input_ids"],
            target_attention_mask=given["t5_attention_mask"],
            source_attention_mask=given["qwen_attention_mask"],
        )
    with Checkpoint(checkpoint(tmp_path / "anima.safetensors", "anima")) as file:
        found = load_outside(file, NARROW["anima"], folder, ["cat"]).encode(PROMPTS)
    lengths = given["t5_attention_mask"].sum(dim=1)
    assert found.lengths.tolist() == lengths.tolist()
    # the checkpoint holds the blocks in half precision; an empty prompt is all padding to Qwen3
    # beside others, where it sees nothing and diffusers' attention gives the mean
    for rows, theirs, n in zip(found.hidden[:2], expected[:2], lengths, strict=False):
        assert torch.allclose(rows[:n], theirs[:n], atol=5e-3)
        assert not rows[n:].any()


def test_a_folder_that_lacks_weights_or_words_is_refused(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "pipeline", "chroma")
    file = Checkpoint(checkpoint(tmp_path / "chroma.safetensors", "chroma"))
    weights = folder / "text_encoder" / "model.safetensors"
    kept = load_file(weights)
    save_file({n: t for n, t in kept.items() if "wo" not in n}, weights, metadata={"format": "pt"})
    with pytest.raises(BadParam, match=r"text_encoder lacks 1 weights, such as .*wo\.weight"):
        load_outside(file, NARROW["chroma"], folder, [])
    save_file(kept, weights, metadata={"format": "pt"})
    for old in (folder / "tokenizer").iterdir():
        old.unlink()
    with pytest.raises(BadParam, match="tokenizer holds no AutoTokenizer"):
        load_outside(file, NARROW["chroma"], folder, [])
    with pytest.raises(BadParam, match="nowhere is no folder"):
        load_outside(file, NARROW["chroma"], tmp_path / "nowhere", [])
    with pytest.raises(BadParam, match="has no text_encoder/, and is no model's folder"):
        load_outside(file, NARROW["chroma"], tmp_path, [])


def test_a_file_without_its_blocks_of_text_says_so(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "pipeline", "anima")
    path = checkpoint(tmp_path / "anima.safetensors", "anima")
    save_file({n: t for n, t in load_file(path).items() if "adapter" not in n}, path)
    with pytest.raises(BadCheckpoint, match="holds no llm_adapter"):
        load_outside(Checkpoint(path), NARROW["anima"], folder, [])
    broken = load_file(checkpoint(path, "anima"))
    broken.pop("net.llm_adapter.blocks.0.norm_mlp.weight")
    save_file(broken, path)
    with pytest.raises(BadCheckpoint, match="no such adapter"):
        load_outside(Checkpoint(path), NARROW["anima"], folder, [])


def test_what_a_family_needs_is_asked_for_and_what_it_does_not_is_refused(tmp_path: Path) -> None:
    file = Checkpoint(checkpoint(tmp_path / "chroma.safetensors", "chroma"))
    with pytest.raises(BadParam, match=r"chroma files hold no text encoder; .*text_encoder/"):
        read_elsewhere(file, NARROW["chroma"], [])
    with pytest.raises(BadParam, match="not both"):
        read_elsewhere(file, NARROW["flux1"], [], embeddings=tmp_path / "e", folder=tmp_path)
    with pytest.raises(BadParam, match="sd1 files hold their text encoder"):
        read_elsewhere(file, SD1, [], folder=tmp_path)
    assert read_elsewhere(file, SD1, []) is None


def test_what_is_kept_of_one_tokenizer_is_not_taken_for_another(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "pipeline", "chroma")
    file = Checkpoint(checkpoint(tmp_path / "chroma.safetensors", "chroma"))
    before = load_outside(file, NARROW["chroma"], folder, []).digest()
    assert load_outside(file, NARROW["chroma"], folder, []).digest() == before
    words = folder / "tokenizer" / "tokenizer.json"
    words.write_text(words.read_text().replace('"cat"', '"cot"'))
    assert load_outside(file, NARROW["chroma"], folder, []).digest() != before
