"""Stable Diffusion 1, 2 and XL, small: the official configs with narrow widths, random weights.

Each is a family of its own that stands in for the real one, under its name; a checkpoint in both
layouts; and the pipeline that diffusers makes of the same modules.
"""

import json
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from tiny_model import tiny_tokenizer
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from ckptedit.families import FAMILIES, Family, blocks_of, to_ldm
from ckptedit.families.names import translate, unet_table

KINDS = ("sd1", "sd2", "sdxl")
PADS = {"sd1": (None,), "sd2": ("!",), "sdxl": (None, "!")}  # of the official tokenizers
WIDTHS = {"sd1": (24,), "sd2": (40,), "sdxl": (32, 24)}
PARTS = {
    "unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model",
    "text_encoder_2": "model",
}  # fmt: skip
OPEN_CLIP = {
    "self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "embeddings.token_embedding": "token_embedding",
    "final_layer_norm": "ln_final",
}  # fmt: skip


@dataclass
class Small:
    """A small model. Tests share it, and what it wrote, so they change neither."""

    family: Family
    modules: dict[str, Any]
    tokenizer: CLIPTokenizer
    root: Path

    @cached_property
    def words(self) -> Path:
        """Its tokenizer's folder, beside its files."""
        self.tokenizer.save_pretrained(self.root / "tokenizer")
        return self.root / "tokenizer"

    @cached_property
    def file(self) -> Path:
        """Its single file."""
        return self.ldm(self.root / "base.safetensors")

    @cached_property
    def directory(self) -> Path:
        """Its diffusers folder."""
        return self.folder(self.root / "folder")

    def ldm(self, path: Path) -> Path:
        """Writes the single file, as the model's authors do."""
        modules = self.modules
        whole = to_ldm(modules["unet"], modules["vae"], modules["text_encoder"], family=self.family)
        first = self.family.readers[0].prefix
        tensors = {name: t for name, t in whole.items() if not name.startswith(first)}
        for reader in self.family.readers:
            state = modules[reader.component].state_dict()
            spelled = as_clip(state) if reader.layout == "clip" else as_open_clip(state)
            tensors |= {
                reader.prefix + name: tensor.contiguous() for name, tensor in spelled.items()
            }
        save_file(tensors, path, metadata={"format": "pt"})
        return path

    def folder(self, path: Path) -> Path:
        """Writes the diffusers folder, its tokenizer left out."""
        for name, module in self.modules.items():
            module.save_pretrained(path / name)
        index = json.loads((self.family.folder / "model_index.json").read_text())
        (path / "model_index.json").write_text(json.dumps(index))
        return path

    def pipeline(self, **scheduler: Any) -> DiffusionPipeline:
        """What diffusers makes of the same modules; scheduler: more of the config of its DDIM."""
        parts = dict(self.modules, scheduler=DDIMScheduler.from_config(SCHEDULER | scheduler))
        pads = PADS[self.family.name]
        parts["tokenizer"] = padded(pads[0])
        if len(pads) > 1:
            made = StableDiffusionXLPipeline(**parts, tokenizer_2=padded(pads[1]))
        else:
            made = StableDiffusionPipeline(
                **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
            )
        made.set_progress_bar_config(disable=True)
        return made


SCHEDULER = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000, "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False,
}  # fmt: skip


def padded(token: str | None) -> CLIPTokenizer:
    made = tiny_tokenizer()
    if token:
        made.pad_token = token
    return made


def small(kind: str, folder: Path, *, channels: int = 4) -> Small:
    """kind: one of KINDS; folder: for its files; channels: that the UNet takes"""
    official, widths = FAMILIES[kind], WIDTHS[kind]
    configs = {
        part: json.loads((official.folder / part / "config.json").read_text())
        for part in ("unet", "vae", *(reader.component for reader in official.readers))
    }
    levels = len(configs["unet"]["block_out_channels"])
    configs["unet"] |= {
        "sample_size": 8, "block_out_channels": [32, 32, 64, 64][:levels], "norm_num_groups": 8,
        "in_channels": channels, "cross_attention_dim": sum(widths),
        "attention_head_dim": [2] * levels if kind != "sd1" else 2,
    }  # fmt: skip
    if kind == "sdxl":
        configs["unet"] |= {
            "transformer_layers_per_block": [1, 1, 2],
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + 20,
        }
    configs["vae"] |= {
        "block_out_channels": [8, 8, 16, 16], "norm_num_groups": 4, "layers_per_block": 1,
        "sample_size": 64,
    }  # fmt: skip
    size = len(tiny_tokenizer())
    for reader, width in zip(official.readers, widths, strict=True):
        configs[reader.component] |= {
            "vocab_size": size, "bos_token_id": size - 2, "eos_token_id": size - 1,
            "pad_token_id": 0,
            "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 3,
            "num_attention_heads": 4, "max_position_embeddings": 16, "projection_dim": 20,
        }  # fmt: skip
    family = family_of(official, configs, folder / "family")
    return Small(family, modules_of(configs), tiny_tokenizer(), folder)


def family_of(official: Family, configs: dict[str, Any], folder: Path) -> Family:
    """The family with small configs, which it writes into a folder."""
    for part, config in configs.items():
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(config))
    (folder / "scheduler").mkdir()
    for name in ("scheduler/scheduler_config.json", "model_index.json"):
        (folder / name).write_text((official.folder / name).read_text())
    (folder / "lexicon.txt").write_text("[style]\nvan gogh\nmonet\n[object]\ncat\ndog\ncastle\n")
    marker = configs["unet"]["block_out_channels"][official.blocks.attention.index(True)]
    return replace(
        official,
        text_width=configs["unet"]["cross_attention_dim"],
        marker_width=marker,
        folder=folder,
    )


def modules_of(configs: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(0)
    made: dict[str, Any] = {
        "unet": UNet2DConditionModel.from_config(configs["unet"]).eval(),
        "vae": AutoencoderKL.from_config(configs["vae"]).eval(),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])).eval(),
    }
    if second := configs.get("text_encoder_2"):
        made["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**second)).eval()
    for name, module in made.items():
        if name.startswith("text"):
            lively(module)
    return made


def lively(module: torch.nn.Module) -> None:
    """Makes a random text encoder tell tokens, layers and norms apart; a fresh one barely does."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(("token_embedding.weight", "position_embedding.weight")):
                parameter.normal_()
            elif "layer_norm" in name:
                parameter.add_(torch.randn_like(parameter) / 3)
            elif name.endswith("weight"):
                parameter.normal_(std=parameter.shape[-1] ** -0.5)


def as_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    bare = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    return {f"text_model.{name}": tensor for name, tensor in bare.items()}


def as_open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's names: q, k and v in one, the projection transposed, and a last layer that is
    never read, if the pooled vector is not."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    made = {"logit_scale": torch.tensor(4.6)}
    made["positional_embedding"] = state.pop("embeddings.position_embedding.weight")
    projection = state.pop("text_projection.weight", None)
    for name, tensor in state.items():
        new = name.replace("encoder.layers.", "transformer.resblocks.")
        if "self_attn.q_proj" in name:
            three = [state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            new, tensor = new.replace("self_attn.q_proj.", "attn.in_proj_"), torch.cat(three)
        elif "k_proj" in name or "v_proj" in name:
            continue
        for here, there in OPEN_CLIP.items():
            new = new.replace(here, there)
        made[new] = tensor
    if projection is not None:
        return made | {"text_projection": projection.T}
    last = {name: t for name, t in made.items() if name.startswith("transformer.resblocks.2.")}
    return made | {name.replace(".2.", ".3.", 1): torch.randn_like(t) for name, t in last.items()}


def refiner(sdxl: Small, path: Path, folder: Path) -> Family:
    """Writes a small file of SDXL's refiner, whose text encoder is the second of SDXL; returns its
    family. folder: for the family's config"""
    text = sdxl.modules["text_encoder_2"]
    widths, levels = [32, 32, 64, 64], ("Down", "CrossAttnDown", "CrossAttnDown", "Down")
    config = json.loads((sdxl.family.folder / "unet" / "config.json").read_text()) | {
        "block_out_channels": widths, "attention_head_dim": [2] * 4,
        "cross_attention_dim": text.config.hidden_size, "transformer_layers_per_block": 1,
        "down_block_types": [f"{kind}Block2D" for kind in levels],
        "up_block_types": [f"{kind.replace('Down', 'Up')}Block2D" for kind in levels],
    }  # fmt: skip
    torch.manual_seed(1)
    unet, table = UNet2DConditionModel.from_config(config), unet_table(blocks_of(config))
    whole = {
        f"model.diffusion_model.{translate(name, table)}": tensor
        for name, tensor in unet.state_dict().items()
    }
    official = FAMILIES["sdxl-refiner"]
    for name, tensor in as_open_clip(text.state_dict()).items():
        whole[official.readers[0].prefix + name] = tensor.contiguous()
    save_file(whole, path)
    (folder / "text_encoder_2").mkdir(parents=True)
    text.config.to_json_file(folder / "text_encoder_2" / "config.json")
    shutil.copy(sdxl.family.folder / "lexicon.txt", folder)
    return replace(
        official, text_width=text.config.hidden_size, marker_width=widths[1], folder=folder
    )
