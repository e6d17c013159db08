"""A checkpoint as a model that runs: built from our own configs and names, strictly, offline."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from ckptedit.diffusion.device import resolve_device, resolve_precision, trainable
from ckptedit.diffusion.schedule import Schedule
from ckptedit.families import Family, blocks_of, detect
from ckptedit.families.family import UNET_PREFIXES
from ckptedit.families.kv import kv_role
from ckptedit.families.load import load_component, read_config
from ckptedit.families.names import inverse, translate, unet_table
from ckptedit.families.own import prediction_of
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, require_weights
from ckptedit.text.condition import Condition
from ckptedit.text.encoder import TextEncoder, load_text_encoder

# of all pictures in a batch: 32 of mini or 2 of SD1 on a CPU, where more are no faster
LATENT_PIXELS = {"cpu": 32 * 16 * 16, "cuda": 16 * 64 * 64}


class Denoiser:
    """A UNet as a function: noised latents, timesteps and text to the noise it sees."""

    def __init__(self, unet: Module, schedule: Schedule) -> None:
        self.unet = unet
        self.schedule = schedule

    def __call__(self, latents: Tensor, t: Tensor, text: Condition) -> Tensor:
        """latents [b, c, h, w], t [b] in 0..999, text of b prompts -> noise [b, c, h, w]."""
        added = {} if text.pooled is None else {"text_embeds": text.pooled, **text.extras}
        output = self.unet(
            latents,
            t,
            encoder_hidden_states=text.tokens,
            added_cond_kwargs=added or None,
            return_dict=False,
        )[0]
        return self.schedule.to_epsilon(output, latents, t)


class Model:
    """The parts of a checkpoint, each loaded when first used and without gradients.

    half: what the UNet computes in, whoever asks it: a sampler, a teacher, a student; None is
          float32. Its weights are kept in it, too, all but K and V, which stay float32: they are
          what an edit moves, and bfloat16 would swallow a step. VAE and text encoder are float32.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        family: Family,
        *,
        device: torch.device,
        half: torch.dtype | None = None,
        tokenizer: str | Path | Vocabulary | None = None,
        clip_skip: int | None = None,
        prediction: str = "epsilon",
    ) -> None:
        self.checkpoint = checkpoint
        self.family = family
        self.device = device
        self.half = half
        self.prediction = prediction
        self.clip_skip = clip_skip
        self._tokenizer = tokenizer

    @cached_property
    def unet(self) -> Module:
        def build(config: dict[str, Any]) -> Module:
            from diffusers import UNet2DConditionModel

            return UNet2DConditionModel.from_config(config)

        unet = load_component(self.checkpoint, self.family, "unet", build=build)
        if self.half:
            for name, parameter in unet.named_parameters():
                if not kv_role(name):
                    parameter.data = parameter.data.to(self.half)
        return unet.to(self.device)

    @cached_property
    def vae(self) -> Module:
        def build(config: dict[str, Any]) -> Module:
            from diffusers import AutoencoderKL

            return AutoencoderKL.from_config(config)

        return load_component(self.checkpoint, self.family, "vae", build=build).to(self.device)

    @cached_property
    def text(self) -> TextEncoder:
        encoder = load_text_encoder(
            self.checkpoint, self.family, tokenizer=self._tokenizer, clip_skip=self.clip_skip
        )
        return encoder.to(self.device)

    @cached_property
    def schedule(self) -> Schedule:
        config = read_config(self.family, "scheduler", self.checkpoint)
        return Schedule(config | {"prediction_type": self.prediction})

    @property
    def denoiser(self) -> Denoiser:
        return Denoiser(self.unet, self.schedule)

    @cached_property
    def batch(self) -> int:
        """Pictures that go through the UNet at once: as many as fit; may be set."""
        pixels = self.latent_shape[1] * self.latent_shape[2]
        return max(1, LATENT_PIXELS.get(self.device.type, LATENT_PIXELS["cpu"]) // pixels)

    def autocast(self) -> AbstractContextManager[Any]:
        """A context in which the UNet computes in `half`."""
        return torch.autocast(self.device.type, self.half) if self.half else nullcontext()

    def fingerprint(self) -> str:
        """All that its predictions depend on beside the prompts, for keys of what is kept."""
        computing = (self.device.type, self.half, self.batch, torch.get_num_threads())
        own = (self.latent_shape, sorted(self.schedule.config.items()))
        facts = (self.family.name, self.clip_skip, *own, torch.__version__, *computing)
        return f"{self.checkpoint.data_sha256()} {facts}"

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """[c, h, w] of one latent."""
        config = read_config(self.family, "unet", self.checkpoint)
        return (config["in_channels"], config["sample_size"], config["sample_size"])


def open_model(
    checkpoint: Checkpoint | str | Path,
    *,
    device: str = "cpu",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    family: Family | None = None,
    precision: str = "auto",
    prediction: str = "auto",
    training: bool = False,
    runs: bool = True,
) -> Model:
    """Opens a checkpoint to run it. Reads the header only; weights follow when they are used.

    device:    "auto", "cpu", "cuda", "cuda:N", "mps"
    tokenizer: a folder or file; default: what `find_vocabulary` finds
    clip_skip: the layer of the text encoders to read, the last is 1; default: the family's
    family:    default: detected
    precision: of the UNet: "float32", "bfloat16", "float16", or "auto": half the width where the
               hardware has it
    prediction: "epsilon", "v_prediction", or "auto": what the checkpoint says, or its family
    training:  whether it will be trained, for which float16 is too narrow
    runs:      whether its UNet will be; a closed form reads the text alone, and then it is all one
               what the UNet puts out
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    require_weights(checkpoint)
    found = family or detect(checkpoint)
    where = resolve_device(device)
    half = resolve_precision(precision, where)
    half = trainable(half) if training else half
    return Model(
        checkpoint,
        found,
        device=where,
        half=half,
        tokenizer=tokenizer,
        clip_skip=clip_skip,
        prediction=prediction_of(checkpoint, found, prediction) if runs else prediction,
    )


def kv_parameters(unet: Module, names: Mapping[str, Any] | list[str]) -> dict[str, Parameter]:
    """The live parameters of a UNet behind K/V weights as stored, in that order."""
    config: Any = unet.config
    to_diffusers = inverse(unet_table(blocks_of(config)))
    parameters = dict(unet.named_parameters())
    found = {}
    for name in names:
        prefix = next(p for p in UNET_PREFIXES if name.startswith(p))
        bare = name.removeprefix(prefix)
        found[name] = parameters[bare if bare in parameters else translate(bare, to_diffusers)]
    return found
