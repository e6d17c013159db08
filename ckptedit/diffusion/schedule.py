"""The noise schedule: how much noise a latent holds at each of its timesteps."""

from typing import Any

import torch
from torch import Tensor

from ckptedit.errors import BadCheckpoint

LAST = 2.0**-24  # a of the last timestep, where a schedule ends without a signal


class Schedule:
    """Variance-preserving noise: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise.

    config: a diffusers scheduler_config; only its betas, prediction type and whether they are
            stretched to a signal of zero at the end are read

    Ho et al., Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239,
    equation 4; the "scaled linear" betas are those of latent diffusion.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        if config.get("beta_schedule") != "scaled_linear":
            raise BadCheckpoint(f"unknown noise schedule {config.get('beta_schedule')!r:.40}")
        self.config = config
        self.timesteps: int = config["num_train_timesteps"]
        self.prediction: str = config.get("prediction_type", "epsilon")
        first, last = config["beta_start"] ** 0.5, config["beta_end"] ** 0.5
        betas = torch.linspace(first, last, self.timesteps, dtype=torch.float32) ** 2
        self.betas = betas  # [timesteps]
        self.alphas_cumprod = torch.cumprod(1 - betas, dim=0)  # [timesteps]
        if not self.alphas_cumprod[-1] > 0 or not self.alphas_cumprod[0] < 1:
            raise BadCheckpoint(
                f"a noise schedule from beta {config['beta_start']} to {config['beta_end']} in "
                f"{self.timesteps} steps: it begins without noise, or ends without a signal"
            )
        if config.get("rescale_betas_zero_snr"):
            self.alphas_cumprod = stretched(self.alphas_cumprod)
            before = torch.cat([torch.ones(1), self.alphas_cumprod[:-1]])
            self.betas = 1 - self.alphas_cumprod / before

    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Noises latents [b, c, h, w] with noise of that shape, each at its own timestep t [b]."""
        signal, spread = self.weights(t, latents)
        return signal * latents + spread * noise

    def to_epsilon(self, output: Tensor, latents: Tensor, t: Tensor) -> Tensor:
        """The noise that a UNet's output [b, c, h, w] stands for, given the noised latents.

        A velocity v = sqrt(a) noise - sqrt(1 - a) x_0 (Salimans & Ho 2022,
        https://arxiv.org/abs/2202.00512) gives noise = sqrt(a) v + sqrt(1 - a) x_t.
        """
        if self.prediction == "epsilon":
            return output
        signal, spread = self.weights(t, latents)
        return signal * output + spread * latents

    def weights(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(a_t) and sqrt(1 - a_t), each [b, 1, 1, 1], in dtype and on device of `like`."""
        a = self.alphas_cumprod.to(like.device)[t].view(-1, 1, 1, 1)
        return a.sqrt().to(like.dtype), (1 - a).sqrt().to(like.dtype)


def stretched(alphas_cumprod: Tensor) -> Tensor:
    """The schedule [timesteps] whose sqrt(a) falls from the same first value to zero.

    Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed, 2023,
    https://arxiv.org/abs/2305.08891, algorithm 1. Its last value is LAST instead of 0, as in
    diffusers, so that a picture can be told from noise by a division.
    """
    signal = alphas_cumprod.sqrt()
    signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
    found = signal.square()
    found[-1] = LAST
    return found
