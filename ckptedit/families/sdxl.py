"""Stable Diffusion XL base: CLIP ViT-L/14 and OpenCLIP ViT-bigG/14, text width 768 + 1280."""

from ckptedit.families.family import Blocks, Family, Labels

SDXL = Family(
    name="sdxl",
    text_width=2048,
    marker="input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
    marker_width=640,
    blocks=Blocks(layers=2, attention=(False, True, True)),
    text_prefix="conditioner.embedders.0.transformer.",
    labels=Labels(
        "stable-diffusion-xl-v1-base",
        "sdxl_base_v1-0",
        "https://github.com/Stability-AI/generative-models",
    ),
    text_layout="two",
    latent_scale=0.13025,
    lora_names="ldm",
)
