"""Vectors to pictures: a checkpoint's UNet, VAE and noise schedule, and sampling from them."""

from ckptedit.diffusion.denoiser import Denoiser, kv_parameters
from ckptedit.diffusion.device import choose_threads, resolve_device, threads
from ckptedit.diffusion.grid import grid, save_png
from ckptedit.diffusion.model import Model, open_model
from ckptedit.diffusion.noise import noise_for, noises_for
from ckptedit.diffusion.sampling import decode, sample, sample_latents, solve
from ckptedit.diffusion.schedule import Schedule
from ckptedit.diffusion.sheet import sample_sheet

__all__ = [
    "Denoiser",
    "Model",
    "Schedule",
    "choose_threads",
    "decode",
    "grid",
    "kv_parameters",
    "noise_for",
    "noises_for",
    "open_model",
    "resolve_device",
    "sample",
    "sample_latents",
    "sample_sheet",
    "save_png",
    "solve",
    "threads",
]
