"""The refiner of Stable Diffusion XL: OpenCLIP ViT-bigG/14 alone, text width 1280."""

from dataclasses import replace

from ckptedit.families.family import Blocks, Family, Labels, packaged
from ckptedit.families.sdxl import LARGE, SDXL

SDXL_REFINER = Family(
    name="sdxl-refiner",
    text_width=1280,
    marker="input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
    marker_width=768,
    blocks=Blocks(layers=2, attention=(False, True, True, False)),
    readers=(replace(LARGE, prefix="conditioner.embedders.0.model."),),
    labels=Labels(
        "stable-diffusion-xl-v1-refiner", "sdxl_refiner_v1-0", SDXL.labels.implementation
    ),
    empty_reads=False,
    latent_scale=SDXL.latent_scale,
    lora_names="ldm",
    folder=packaged("sdxl-refiner"),  # of what reads its text
    not_edited=SDXL.not_edited,
)
