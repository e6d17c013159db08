"""SD1.5 and SDXL at their full widths, with random weights: reading, a training step, sampling.

Reading: how far the embeddings of prompts are from diffusers' own, of the same modules. Training: a
step with the bank against one of the published loop (`benchmarks.training`), which runs in float32
with AdamW. Sampling: pictures against diffusers' own pipeline, of the same file, as it is loaded.

On a processor the pictures are small, 16 x 16 latents, and the figures say so; `--device cuda`
takes the families' own sizes.
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.timing import Bar

FAMILIES = ("sd1", "sdxl")
SMALL_SIDE = 16  # of latents, on a processor
BATCH, PICTURES, STEPS = 4, 4, 4  # of a training step; and of sampling
CLASSES = {
    "unet": ("diffusers", "UNet2DConditionModel"), "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
}  # fmt: skip
PROMPTS = ["a cat in van gogh style", "a photo of a dog"]


def fullsize(data: Path, runs: int, subset: bool, device: str = "cpu") -> Iterator[str]:
    """Seconds per step and per picture; medians over all runs, ours and theirs alternating."""
    for name in FAMILIES[:1] if subset else FAMILIES:
        folder = data / f"{name}-random"
        random_folder(name, folder, None if device.startswith("cuda") else SMALL_SIDE)
        side = json.loads((folder / "unet" / "config.json").read_text())["sample_size"]
        yield f"{name}, random weights, {side} x {side} latents, on {device}"
        yield f"{'embeddings, farthest from diffusers':<44} {distance(folder):10.1e}"
        yield from against(
            "training step",
            partial(training.ours, folder, (), batch=BATCH, device=device),
            partial(training.published, folder, batch=BATCH, device=device, precision="float32"),
            1 / 3,
            runs,
        )
        ours, theirs = partial(sampled, folder, device), partial(piped, folder, device)
        yield from against(f"{PICTURES} pictures, {STEPS} steps", ours, theirs, 1.0, runs)


def against(
    what: str, ours: Callable[[], Any], theirs: Callable[[], Any], bar: float, runs: int
) -> Iterator[str]:
    """Makes one, times it and lets it go, then the other: both at once might not fit."""
    found = {}
    for name, make in (("ours", ours), ("reference", theirs)):
        step = make()
        step()  # warms up
        found[name] = median(timed(step) for _ in range(runs))
        yield f"{what + ', ' + name:<44} {found[name]:8.2f} s"
    yield str(Bar(f"{what}: ours / reference", found["ours"] / found["reference"], bar))


def timed(step: Callable[[], Any]) -> float:
    import torch

    began = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def sampled(folder: Path, device: str) -> Callable[[], Any]:
    from ckptedit.diffusion import open_model, sample

    model = open_model(folder, device=device, prediction="epsilon")
    return partial(sample, model, PROMPTS * (PICTURES // 2), steps=STEPS)


def piped(folder: Path, device: str) -> Callable[[], Any]:
    from diffusers import DPMSolverMultistepScheduler

    pipe = pipeline(folder).to(device)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return partial(pipe, PROMPTS * (PICTURES // 2), num_inference_steps=STEPS, output_type="np")


def distance(folder: Path) -> float:
    """The largest difference of any number that a prompt is read as."""
    from ckptedit.diffusion import open_model

    read = open_model(folder, prediction="epsilon").text.encode(PROMPTS).condition
    parts = [name for name in CLASSES if name.startswith("text") and (folder / name).exists()]
    found = pipeline(folder, parts).encode_prompt(
        PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    farthest = (read.tokens - found[0]).abs().max()
    if read.pooled is not None:
        farthest = max(farthest, (read.pooled - found[2]).abs().max())
    return float(farthest.detach())


def pipeline(folder: Path, parts: Any = CLASSES) -> Any:
    """diffusers' own, in float32; of some of the parts alone."""
    import diffusers
    import torch

    kind = "XL" if (folder / "text_encoder_2").exists() else ""
    extra: dict[str, Any] = {name: None for name in CLASSES if name not in parts}
    if not kind:
        extra |= {"safety_checker": None, "feature_extractor": None,
                  "requires_safety_checker": False}  # fmt: skip
    return getattr(diffusers, f"StableDiffusion{kind}Pipeline").from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, **extra
    )


def random_folder(name: str, folder: Path, side: int | None) -> None:
    """Writes a family's model as a diffusers folder in float16, unless it is there.

    side: of its latents; None: the family's own
    """
    from ckptedit.families import FAMILIES as KNOWN

    packaged = KNOWN[name].folder
    if packaged is None or (folder / "model_index.json").exists():
        return
    for part in CLASSES:
        if (packaged / part).exists():
            config = json.loads((packaged / part / "config.json").read_text())
            if part == "unet" and side:
                config["sample_size"] = side
            random_part(part, config, folder / part)
    vocabulary(folder / "tokenizer", "<|endoftext|>")
    vocabulary(folder / "tokenizer_2", "!")
    for config_file in ("scheduler/scheduler_config.json", "model_index.json"):
        (folder / config_file).parent.mkdir(exist_ok=True)
        (folder / config_file).write_text((packaged / config_file).read_text())


def random_part(part: str, config: dict[str, Any], folder: Path) -> None:
    """Norms of one, no biases, and matrices that neither grow nor shrink what goes through them."""
    from importlib import import_module

    import torch

    from ckptedit.files import Spec, write

    library, kind = CLASSES[part]
    made = getattr(import_module(library), kind)
    with torch.device("meta"):
        if library == "transformers":
            module = made(import_module("transformers").CLIPTextConfig(**config))
        else:
            module = made.from_config(config)
    state = module.state_dict()
    specs = [Spec(name, "F16", tuple(tensor.shape)) for name, tensor in state.items()]

    def numbers(index: int, spec: Spec) -> np.ndarray:
        if len(spec.shape) < 2:
            return np.full(spec.shape, float(spec.name.endswith("weight")), np.float16)
        draw = np.random.default_rng([0, index]).standard_normal(spec.shape, np.float32)
        return (draw / np.sqrt(np.prod(spec.shape[1:]))).astype(np.float16)

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    file = "diffusion_pytorch_model" if library == "diffusers" else "model"
    tensors = ([numbers(i, spec)] for i, spec in enumerate(specs))
    write(folder / f"{file}.safetensors", specs, tensors, {"format": "pt"})


def vocabulary(folder: Path, pad: str) -> None:
    """A tokenizer of CLIP's size that knows no words: pairs of letters."""
    from ckptedit.text.tokenizer import MERGES, byte_alphabet

    letters = byte_alphabet()
    ends = [*letters, *(letter + "</w>" for letter in letters)]
    pairs = [(first, second) for first in letters for second in ends][:MERGES]
    tokens = [*ends, *(first + second for first, second in pairs)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": pad}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
