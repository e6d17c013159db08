"""What sets one architecture of text-to-image checkpoints apart from another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ckptedit.errors import BadCheckpoint

UNET_PREFIXES = ("model.diffusion_model.", "unet.", "")  # single file, diffusers folder, bare file
TRANSFORMER_PREFIXES = ("model.diffusion_model.", "transformer.", "net.", "")


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the blocks of a UNet are counted, from the largest resolution to the smallest.

    layers:    residual blocks per level on the way down (one more on the way up)
    attention: for each level, whether it reads text
    """

    layers: int
    attention: tuple[bool, ...]

    @property
    def levels(self) -> int:
        return len(self.attention)

    @property
    def numbered(self) -> int:
        """Blocks on either side of the middle one, as mergers count them: IN00, IN01, ..."""
        return self.levels * (self.layers + 1)


class Anchors(NamedTuple):
    """The word for whatever is of a kind."""

    style: str = "photo"
    object: str = "object"

    def of(self, kind: str) -> str:
        """kind: "style" or "object" """
        return self.style if kind == "style" else self.object


class Labels(NamedTuple):
    """How files of changes say what they are for.

    architecture:   ModelSpec's name of it; implementation: whose code it is loaded by
    version:        kohya's `ss_base_model_version`, which A1111 reads; "": it has none
    """

    architecture: str
    version: str = ""
    implementation: str = "diffusers"


@dataclass(frozen=True, slots=True)
class Matrix:
    """Matrices [out, d] that read text, by their names.

    names:  a pattern of the whole name in every spelling, without what stands before a denoiser's
    role:   "k", keys; "v", values, or whatever else the text itself becomes
    rows:   (i, n): the i-th of n equal parts of the rows, where one matrix holds q, k and v, or k
            and v; None: all of them
    pooled: reads one vector of the whole prompt [p] instead of its tokens' embeddings; an edit of
            K and V does not touch it
    """

    names: str
    role: Literal["k", "v"]
    rows: tuple[int, int] | None = None
    pooled: bool = False


ATTENTION = r"(?:(?:in|out)put_blocks|middle_block|(?:down|up)_blocks|mid_block)\..*attn2\."
UNET = tuple(Matrix(rf"{ATTENTION}to_{role}\.weight", role) for role in ("k", "v"))
USUAL = Anchors()


@dataclass(frozen=True, slots=True)
class Reader:
    """A CLIP text encoder, and what of it a family's denoiser reads.

    prefix:    of its names in a single file
    layout:    "clip" names as transformers has them, "open_clip" has packed q, k, v
    component: its folder in a diffusers layout
    layer:     whose states are read, counted from the last, which is 1
    left_out:  last layers that the single file has and the config does not, since nobody reads them
    norm:      whether the final norm is applied to the states
    pad:       the token that fills up a prompt; None: the one that ends it
    pooled:    whether the projected state of the end of the text is read, too
    """

    prefix: str
    layout: Literal["clip", "open_clip"] = "clip"
    component: Literal["text_encoder", "text_encoder_2"] = "text_encoder"
    layer: int = 1
    left_out: int = 0
    norm: bool = True
    pad: str | None = None
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Outside:
    """A text encoder that is in no such file; transformers loads it from folders of its own.

    model:      its class there
    folders:    what diffusers calls the model's folder, and those of its tokenizers
    length:     tokens that a prompt is filled up to, all of which are read; None: none is filled up
    adapter:    what stands before the names of the blocks of text that follow it, in the file
    """

    model: Literal["T5EncoderModel", "Qwen3Model"]
    folders: tuple[str, ...]
    length: int | None = None
    adapter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture: all that the rest of the tool needs to know about its names and numbers.

    text_width:   d, the width of the text embeddings that the K/V weights [out, d] read
    marker:       a weight under its single-file name, without what stands before the denoiser's;
                  most often one of K
    marker_width: its number of rows; marker_depth: of columns, if it does not read text of
                  text_width; its shape tells the families apart
    renamed:      the marker in diffusers' spelling, where no blocks tell it
    blocks:       of its UNet; None: its denoiser is a transformer, which this version does not run
    readers:      its text encoders; what they read is put side by side; none: its users keep them
                  in files of their own
    outside:      the encoder that these files are of, or None
    empty_reads:  whether an empty prompt is read, for guidance; else it is zeros, as in training
    matrices:     the ones that read text
    enters:       where: "cross", at every layer and timestep through K and V of its own;
                  "entry", once, and is mixed with the picture from there on; "refiner", through
                  blocks of text alone before it is mixed
    not_edited:   what else text reaches the picture by, a sentence for reports
    latent_scale: latents are multiplied by it after the VAE's encoder
    prediction:   what the UNet puts out if the checkpoint does not say; None: both are common
    guidance:     the scale of classifier-free guidance that pictures are usually made with
    lora_names:   whose names LoRA loaders expect: diffusers' or the single file's; of no matter
                  without blocks, where they are the file's own
    anchors:      what stands in for an erased concept
    labels:       what a LoRA says it is for
    world:        whose pictures it draws, where a judge ships that knows all of them
    """

    name: str
    text_width: int
    marker: str
    marker_width: int
    blocks: Blocks | None
    readers: tuple[Reader, ...]
    labels: Labels
    marker_depth: int | None = None
    renamed: str = ""
    outside: Outside | None = None
    empty_reads: bool = True
    matrices: tuple[Matrix, ...] = UNET
    enters: Literal["cross", "entry", "refiner"] = "cross"
    not_edited: str = ""
    unet_prefix: str = "model.diffusion_model."
    vae_prefix: str = "first_stage_model."
    latent_scale: float = 0.18215
    prediction: Literal["epsilon", "v_prediction"] | None = "epsilon"
    guidance: float = 7.5
    anchors: Anchors = USUAL
    lora_names: Literal["diffusers", "ldm"] = "diffusers"
    world: str | None = None
    folder: Path | None = None  # configs in the layout of a diffusers folder; a tokenizer, maybe

    @property
    def marker_shape(self) -> tuple[int, int]:
        return (self.marker_width, self.marker_depth or self.text_width)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What may stand before the names of its denoiser."""
        return UNET_PREFIXES if self.blocks else TRANSFORMER_PREFIXES

    def counted(self) -> Blocks:
        """The blocks of its UNet. Raises BadCheckpoint if it has none."""
        if self.blocks is None:
            raise BadCheckpoint(f"{self.name} models have no UNet: their names are not translated")
        return self.blocks


def packaged(name: str) -> Path:
    """The folder of configs that ships with the tool for this family."""
    return Path(__file__).parent / name
