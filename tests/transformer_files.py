"""Checkpoints of families without a UNet, narrow and of next to no depth, and the text encoders
that they are read with: the same code path in milliseconds."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from diffusers.models.condition_embedders.condition_embedder_anima import AnimaTextConditioner
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from ckptedit.concepts.lexicon import general
from ckptedit.concepts.templates import ALONE_FRAMES, HELD_OUT_FRAMES, NEUTRAL_FRAME, TRAIN_FRAMES
from ckptedit.families import FAMILIES

WIDTH, OUT = 96, 64  # of the text; rows of what reads it
NARROW = {
    name: replace(FAMILIES[name], text_width=WIDTH, marker_width=OUT)
    for name in ("anima", "flux1", "chroma")
}
LEXICON = "[style]\nvan gogh\nmonet\nhokusai\n[object]\ncat\ndog\ncastle\n"


def words() -> list[str]:
    """All that our sentences and lexicon are made of."""
    frames = [NEUTRAL_FRAME, *TRAIN_FRAMES, *HELD_OUT_FRAMES, *sum(ALONE_FRAMES.values(), ())]
    text = " ".join([*frames, *general(), LEXICON, "a photo something"]).lower()
    for mark in ",{}[].'-":
        text = text.replace(mark, " ")
    return sorted(set(text.split()))


def tokenizer(*, ends: bool) -> PreTrainedTokenizerFast:
    """A word is a token. ends: whether a text is followed by an end, as T5 has it."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", ",", *words()])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if ends:
        made.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def t5(width: int = WIDTH) -> T5EncoderModel:
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=len(tokenizer(ends=True)), d_model=width, d_kv=8, d_ff=16, num_layers=1,
        num_heads=2, feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return T5EncoderModel(config).eval()


def qwen() -> Qwen3Model:
    torch.manual_seed(2)
    config = Qwen3Config(
        vocab_size=len(tokenizer(ends=False)), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    return Qwen3Model(config).eval()


def adapter() -> AnimaTextConditioner:
    torch.manual_seed(3)
    return AnimaTextConditioner(
        source_dim=32, target_dim=WIDTH, model_dim=64, num_layers=1, num_attention_heads=4,
        target_vocab_size=len(tokenizer(ends=True)), min_sequence_length=1,
    ).eval()  # fmt: skip


def pipeline(folder: Path, family: str) -> Path:
    """The text encoder's part of a diffusers pipeline."""
    if family == "anima":
        qwen().save_pretrained(folder / "text_encoder")
        tokenizer(ends=False).save_pretrained(folder / "tokenizer")
        tokenizer(ends=True).save_pretrained(folder / "t5_tokenizer")
        return folder
    end = "_2" if family == "flux1" else ""
    t5().save_pretrained(folder / f"text_encoder{end}")
    tokenizer(ends=True).save_pretrained(folder / f"tokenizer{end}")
    return folder


def checkpoint(path: Path, family: str) -> Path:
    """A single file of a NARROW family, half precision."""
    torch.manual_seed(4)
    shapes = {
        "anima": {
            f"net.blocks.{i}.{attention}_attn.{letter}_proj.weight": (OUT, width)
            for i in range(2)
            for attention, width in (("cross", WIDTH), ("self", 8))
            for letter in "qkv"
        },
        "flux1": {
            "double_blocks.0.txt_attn.qkv.weight": (96, 32),
            "txt_in.weight": (OUT, WIDTH),
            "txt_in.bias": (OUT,),
            "vector_in.in_layer.weight": (OUT, 768),
        },
        "chroma": {
            "distilled_guidance_layer.in_proj.weight": (OUT, 64),
            "txt_in.weight": (OUT, WIDTH),
            "txt_in.bias": (OUT,),
        },
    }[family]
    tensors = {name: torch.randn(shape) / shape[-1] ** 0.5 for name, shape in shapes.items()}
    if family == "anima":
        for name, weight in adapter().state_dict().items():
            tensors[f"net.llm_adapter.{name}"] = weight
    save_file({name: tensor.half() for name, tensor in tensors.items()}, path)
    return path


def as_pipeline(**parts: object) -> SimpleNamespace:
    """What diffusers' own functions ask of a pipeline."""
    return SimpleNamespace(_execution_device=torch.device("cpu"), tokenizer_max_length=77, **parts)
