"""A Stable Diffusion small enough to run in milliseconds, with random weights, as a file.

Its own family: SD1's names, text width 32, 16 x 16 pictures. And mini with random weights, which
the command line knows by name.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ckptedit.families import MINI, SD1, Blocks, Family, to_ldm
from ckptedit.text.tokenizer import byte_alphabet

WORDS = """something castle a an the in of by style photo painting picture image artwork beautiful
showing cat dog tree van gogh monet hokusai empty"""
UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 1,
    "block_out_channels": [32, 64],
    "norm_num_groups": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
}
VAE = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": [32, 64],
    "norm_num_groups": 8,
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "sample_size": 16,
    "scaling_factor": 0.18215,
}
SCHEDULER = {
    "_class_name": "DPMSolverMultistepScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
}


def tiny_tokenizer() -> CLIPTokenizer:
    """CLIP's byte pairs for a handful of words, one token each."""
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    merges: list[tuple[str, str]] = []
    for word in WORDS.split():
        parts = _pieces(word, merges)
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            tokens.append(parts[0])
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=16)


def _pieces(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """What byte pair encoding makes of a word with the merges so far."""
    parts = [*word[:-1], word[-1] + "</w>"]
    while known := [pair for pair in pairwise(parts) if pair in merges]:
        i = list(pairwise(parts)).index(min(known, key=merges.index))
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def text_config() -> dict[str, object]:
    size = len(tiny_tokenizer())
    return {
        "vocab_size": size,
        "bos_token_id": size - 2,
        "eos_token_id": size - 1,
        "pad_token_id": size - 1,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 16,
    }


def tiny_modules() -> tuple[UNet2DConditionModel, AutoencoderKL, CLIPTextModel]:
    torch.manual_seed(0)
    text = CLIPTextModel(CLIPTextConfig(**text_config()))
    with torch.no_grad():  # a fresh encoder barely tells tokens apart
        text.get_input_embeddings().weight.normal_()
    return UNet2DConditionModel.from_config(UNET), AutoencoderKL.from_config(VAE), text


def tiny_family(folder: Path) -> Family:
    """Writes the family's folder of configs and tokenizer."""
    configs = {
        "unet/config.json": UNET,
        "vae/config.json": VAE,
        "text_encoder/config.json": text_config(),
        "scheduler/scheduler_config.json": SCHEDULER,
        "model_index.json": INDEX,
    }
    for name, config in configs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(config))
    tiny_tokenizer().save_pretrained(folder / "tokenizer")
    (folder / "lexicon.txt").write_text("[style]\nvan gogh\nmonet\n[object]\ncat\ndog\ncastle\n")
    return replace(
        SD1,
        name="tiny",
        text_width=32,
        marker_width=32,
        blocks=Blocks(layers=1, attention=(True, False)),
        folder=folder,
    )


def tiny_checkpoint(path: Path) -> Path:
    """Writes the single file, float32."""
    save_file(to_ldm(*tiny_modules()), path, metadata={"format": "pt"})
    return path


def mini_config(part: str) -> dict[str, object]:
    """A config out of mini's own folder."""
    assert MINI.folder
    found: dict[str, object] = json.loads((MINI.folder / part / "config.json").read_text())
    return found


def random_mini(path: Path, seed: int = 0) -> Path:
    """Writes mini as it ships, half precision, but with random weights."""
    tensors = to_ldm(*_random_modules(seed), family=MINI)
    save_file({name: tensor.half() for name, tensor in tensors.items()}, path)
    return path


def random_mini_folder(path: Path, seed: int = 0) -> Path:
    """Writes the same model as `random_mini` as a folder of diffusers components."""
    files = {
        "unet": "unet/diffusion_pytorch_model.safetensors",
        "vae": "vae/diffusion_pytorch_model.safetensors",
        "text_encoder": "text_encoder/model.safetensors",
    }
    for (part, name), module in zip(files.items(), _random_modules(seed), strict=True):
        (path / part).mkdir(parents=True)
        (path / part / "config.json").write_text(json.dumps(mini_config(part)))
        tensors = {key: t.detach().half().contiguous() for key, t in module.state_dict().items()}
        save_file(tensors, path / name)
    (path / "model_index.json").write_text(json.dumps(INDEX))
    return path


def _random_modules(seed: int) -> tuple[UNet2DConditionModel, AutoencoderKL, CLIPTextModel]:
    torch.manual_seed(seed)
    return (
        UNet2DConditionModel.from_config(mini_config("unet")),
        AutoencoderKL.from_config(mini_config("vae")),
        CLIPTextModel(CLIPTextConfig(**mini_config("text_encoder"))),
    )
