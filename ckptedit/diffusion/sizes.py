"""What a training of a model takes in memory, by the header of its checkpoint alone."""

from typing import TYPE_CHECKING

from ckptedit.diffusion.fitting import WAITING, Sizes
from ckptedit.families.stored import component_prefix
from ckptedit.text.load import held_bytes

if TYPE_CHECKING:
    from ckptedit.diffusion.model import Model


def sizes_of(model: "Model", trained: int) -> Sizes:
    """trained: numbers of the UNet that are"""
    width = 2 if model.half or model.narrow else 4
    aside = _beside_the_unet(model)
    frozen = width * (model.parameters - trained)
    if model.device.type == "cpu":  # where all of it stays
        frozen, aside = frozen + aside + WAITING * trained, -WAITING * trained
    return Sizes(frozen, trained, aside, model.footprint)


def _beside_the_unet(model: "Model") -> int:
    """Bytes of text encoders and VAE, as they are held."""
    checkpoint, family = model.checkpoint, model.family
    place = component_prefix(checkpoint, family, "vae")
    vae = 4 * sum(info.numel for name, info in checkpoint.items() if name.startswith(place))
    if model.read_elsewhere:
        return vae
    return vae + held_bytes(checkpoint, family, streamed=model.streamed)
