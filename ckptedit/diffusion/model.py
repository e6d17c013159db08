"""A checkpoint as a model that runs: built from our own configs and names, strictly, offline."""

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from ckptedit.diffusion.denoiser import Denoiser
from ckptedit.diffusion.device import SMALL, resolve_device, resolve_precision, trainable
from ckptedit.diffusion.fitting import Plan, fit, free_memory, whole_memory
from ckptedit.diffusion.footprint import Footprint, footprint
from ckptedit.diffusion.narrow import hold_narrow
from ckptedit.diffusion.schedule import Schedule
from ckptedit.diffusion.sizes import sizes_of
from ckptedit.errors import BadParam, Busy
from ckptedit.families import Family, detect
from ckptedit.families.kv import kv_role
from ckptedit.families.load import load_component, read_config
from ckptedit.families.own import RESCALED, prediction_of, zero_snr
from ckptedit.families.runnable import input_channels, require_runnable
from ckptedit.families.stored import component_prefix
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, require_weights
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.load import load_text_encoder

# of all pictures in a batch: 32 of mini or 2 of SD1 on a CPU; more are no faster
ENOUGH = {"cpu": 32 * 16 * 16, "cuda": 16 * 64 * 64}
GUIDED = 2  # passes of a picture at once, with its prompt and without


class Model:
    """The parts of a checkpoint, each loaded when first used and without gradients.

    half: what the UNet computes in, whoever asks it: a sampler, a teacher, a student; None is
          float32. Its weights are kept in it, too, all but K and V, which stay float32: they are
          what an edit moves, and bfloat16 would swallow a step. VAE and text encoder are float32.
          No second copy of the UNet is ever made, nor a wider one on a processor (`hold_narrow`).
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
        text: TextEncoder | None = None,
        prediction: str = "epsilon",
        compiled: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.family = family
        self.device = device
        self.half = half
        self.prediction = prediction
        self.clip_skip, self.compiled = clip_skip, compiled
        self.plan: Plan | None = None
        self.scale = family.latent_scale
        self._tokenizer = tokenizer
        self._beside: dict[tuple[int, int], Tensor] = {}  # size of a latent -> what stands beside
        self._text = text

    @cached_property
    def unet(self) -> Module:
        unet: Any = load_component(
            self.checkpoint, self.family, "unet", build=self._build, width=self.width_of
        )
        if self.narrow:
            hold_narrow(unet)
        unet = unet.to(self.device)
        if self.device.type == "cuda":
            unet = unet.to(memory_format=torch.channels_last)
        if self.plan and self.plan.anew:
            unet.enable_gradient_checkpointing()
            unet.train()  # it has no dropout; diffusers asks for it
        if self.compiled:
            unet.compile()
        whole: Module = unet
        return whole

    def _build(self, config: dict[str, Any]) -> Any:
        from diffusers import UNet2DConditionModel

        channels = input_channels(self.checkpoint)
        return UNet2DConditionModel.from_config(config | {"in_channels": channels})

    @cached_property
    def footprint(self) -> Footprint:
        """What a picture takes in a pass of the UNet; no weight is read for that."""
        config = read_config(self.family, "unet")
        words = read_config(self.family, self.family.readers[0].component)
        shape = (input_channels(self.checkpoint), *self.latent_shape[1:])
        text = (int(words["max_position_embeddings"]), self.family.text_width)
        return footprint(lambda: self._build(config), shape, text, self.half or torch.float32)

    @cached_property
    def parameters(self) -> int:
        """Of the UNet, by the header."""
        prefix = component_prefix(self.checkpoint, self.family, "unet")
        return sum(info.numel for name, info in self.checkpoint.items() if name.startswith(prefix))

    def cut_to_fit(self, trained: int, batch: int, budget: int | None = None) -> None:
        """Plans a training, before the UNet is loaded; a small model needs no plan without budget.

        trained: numbers that are; batch: pictures of a step; budget: bytes, default: what is free
        Raises BadParam if not even one picture fits, and Busy if it would, were others gone.
        """
        if budget is None and self.parameters < SMALL:
            return
        sizes = sizes_of(self, trained)
        if budget is not None:
            self.plan = fit(sizes, batch, budget)
            return
        try:
            self.plan = fit(sizes, batch, free_memory(self.device))
        except BadParam as error:
            try:
                fit(sizes, batch, whole_memory(self.device))
            except BadParam:
                raise error from None
            raise Busy(
                f"{error}; it would fit, if others did not hold memory at the moment"
            ) from None

    @property
    def read_elsewhere(self) -> bool:
        """Whether prompts are read by another encoder than the checkpoint's."""
        return self._text is not None

    @property
    def streamed(self) -> bool | None:
        """Whether text encoders are read layer by layer; None: large ones are."""
        return None if self.device.type == "cpu" else False

    def rest(self) -> None:
        """Moves text encoders and VAE off a GPU, if there is a plan that says so; they go on where
        they are, slower."""
        if self.plan is None or not self.plan.offload:
            return
        for name in {"text", "vae"} & vars(self).keys():
            getattr(self, name).to("cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def width_of(self, name: str, stored: Tensor) -> torch.dtype:
        """In what a weight of the UNet is kept."""
        if kv_role(name):
            return torch.float32
        if self.half:
            return self.half
        is_matrix = stored.ndim > 1  # norms and biases are small, and other layers read them
        narrow = self.narrow and is_matrix and stored.element_size() == 2
        return stored.dtype if narrow else torch.float32

    @cached_property
    def narrow(self) -> bool:
        """Whether the UNet's matrices stay as narrow as the file, though it computes in float32."""
        return self.half is None and self.device.type == "cpu" and self.parameters >= SMALL

    @cached_property
    def vae(self) -> Module:
        def build(config: dict[str, Any]) -> Module:
            from diffusers import AutoencoderKL

            return AutoencoderKL.from_config(config)

        return load_component(self.checkpoint, self.family, "vae", build=build).to(self.device)

    @cached_property
    def text(self) -> TextEncoder:
        if self._text is not None:
            return self._text
        encoder = load_text_encoder(
            self.checkpoint,
            self.family,
            tokenizer=self._tokenizer,
            clip_skip=self.clip_skip,
            streamed=self.streamed,
        )
        return encoder.to(self.device)

    @cached_property
    def schedule(self) -> Schedule:
        config = read_config(self.family, "scheduler", self.checkpoint)
        said = {"prediction_type": self.prediction, RESCALED: zero_snr(self.checkpoint)}
        return Schedule(config | said)

    @property
    def denoiser(self) -> Denoiser:
        more = input_channels(self.checkpoint) != self.latent_shape[0]
        beside = self.beside if more else None
        return Denoiser(self.unet, self.schedule, beside=beside, enlarged=self.enlarged)

    @property
    def enlarged(self) -> int:
        """How many pixels of a picture are one of its latent, either way."""
        levels = read_config(self.family, "vae")["block_out_channels"]
        return int(2 ** (len(levels) - 1))

    @torch.no_grad()
    def beside(self, latents: Tensor) -> Tensor:
        """What a UNet that takes a picture is given for latents [b, c, h, w]: none of it.

        An instruction model has zeros for it, as in its training without a picture (Brooks et al.,
        InstructPix2Pix, 2023, https://arxiv.org/abs/2211.09800); an inpainting model a mask that
        covers all of a grey one.
        """
        height, width = latents.shape[2:]
        if (height, width) not in self._beside:
            missing = input_channels(self.checkpoint) - latents.shape[1]
            shown = torch.zeros(1, missing, height, width)
            if missing > latents.shape[1]:
                grey = torch.zeros(1, 3, self.enlarged * height, self.enlarged * width)
                vae: Any = self.vae
                seen = vae.encode(grey.to(self.device)).latent_dist.mode()
                shown = torch.cat([torch.ones(1, 1, height, width), seen.cpu() * self.scale], 1)
            self._beside[height, width] = shown
        return self._beside[height, width].to(latents)

    @cached_property
    def batch(self) -> int:
        """Pictures that go through the UNet at once: as many as are faster and fit into the memory
        that is free; a power of two, so that a little of it more or less changes nothing."""
        pixels = self.latent_shape[1] * self.latent_shape[2]
        most = ENOUGH.get(self.device.type, ENOUGH["cpu"]) // pixels
        if most > 1 and self.parameters >= SMALL:
            each = GUIDED * (self.footprint.thin + self.footprint.block)
            most = min(most, free_memory(self.device) // 2 // each)
        return int(2 ** (max(1, most).bit_length() - 1))

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
        return (config["out_channels"], config["sample_size"], config["sample_size"])


def open_model(
    checkpoint: Checkpoint | str | Path,
    *,
    device: str = "cpu",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    text: TextEncoder | None = None,
    family: Family | None = None,
    precision: str = "auto",
    prediction: str = "auto",
    training: bool = False,
    compiled: bool = False,
    runs: bool = True,
) -> Model:
    """Opens a checkpoint to run it. Reads the header only; weights follow when they are used.

    device:    "auto", "cpu", "cuda", "cuda:N", "mps"
    tokenizer: a folder or file; default: what `find_vocabulary` finds
    clip_skip: the layer of the text encoders to read, the last is 1; default: the family's
    text:      another encoder than the checkpoint's own
    family:    default: detected
    precision: of the UNet: "float32", "bfloat16", "float16", or "auto": half the width where the
               hardware has it
    prediction: "epsilon", "v_prediction", or "auto": what the checkpoint says, or its family
    training:  whether it will be trained, for which float16 is too narrow
    compiled:  whether torch.compile makes the UNet faster, after minutes of compiling
    runs:      whether its UNet will be; a closed form reads the text alone, and then it is all one
               what the UNet puts out
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    require_weights(checkpoint)
    found = family or (require_runnable(checkpoint) if runs else detect(checkpoint))
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
        compiled=compiled,
        prediction=prediction_of(checkpoint, found, prediction) if runs else prediction,
        text=text,
    )
