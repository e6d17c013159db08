"""A UNet as a function, and those of its parameters that read text."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from ckptedit.diffusion.schedule import Schedule
from ckptedit.families import blocks_of
from ckptedit.families.family import UNET_PREFIXES
from ckptedit.families.names import inverse, translate, unet_table
from ckptedit.text.condition import Condition


class Denoiser:
    """A UNet as a function: noised latents, timesteps and text to the noise it sees.

    beside: what it takes beside latents [b, c, h, w], as more channels [1, n, h, w]; None: nothing
    enlarged: how many pixels of a picture are one of its latent, either way
    """

    def __init__(
        self,
        unet: Module,
        schedule: Schedule,
        *,
        beside: Callable[[Tensor], Tensor] | None = None,
        enlarged: int = 8,
    ) -> None:
        self.unet, self.schedule = unet, schedule
        self.beside, self.enlarged = beside, enlarged

    def __call__(self, latents: Tensor, t: Tensor, text: Condition) -> Tensor:
        """latents [b, c, h, w], t [b] in 0..999, text of b prompts -> noise [b, c, h, w]."""
        return self.schedule.to_epsilon(self.output(latents, t, text), latents, t)

    def output(self, latents: Tensor, t: Tensor, text: Condition) -> Tensor:
        """As a call, but what the UNet itself puts out: noise, or a velocity."""
        added = None
        if text.pooled is not None:
            added = {"text_embeds": text.pooled, **(text.extras or self.sizes(latents))}
        if self.beside is not None:
            more = self.beside(latents).expand(len(latents), -1, -1, -1)
            latents = torch.cat([latents, more], 1)
        output: Tensor = self.unet(
            latents,
            t,
            encoder_hidden_states=text.tokens,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return output

    def sizes(self, latents: Tensor) -> dict[str, Tensor]:
        """What SDXL reads beside the text: the picture was as large as it is, and not cropped."""
        height, width = (self.enlarged * side for side in latents.shape[2:])
        row = torch.tensor([height, width, 0, 0, height, width], device=latents.device)
        return {"time_ids": row.expand(len(latents), -1).to(latents.dtype)}


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
