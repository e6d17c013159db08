"""Stable Diffusion XL base, and Pony, Illustrious and NoobAI, which are shaped as it.

CLIP ViT-L/14 and OpenCLIP ViT-bigG/14, text width 768 + 1280.

It reads the layer before the last of both, without the final norm, and beside them a vector of the
second (`label_emb`), which no edit of K/V weights touches. In training, an empty prompt was zeros:
Podell et al., SDXL, 2023, https://arxiv.org/abs/2307.01952, and its `ucg_rate`.
"""

from ckptedit.families.family import Blocks, Family, Labels, Reader, packaged

LARGE = Reader(
    "conditioner.embedders.1.model.",
    "open_clip",
    "text_encoder_2",
    layer=2,
    norm=False,
    pad="!",
    pooled=True,
)

SDXL = Family(
    name="sdxl",
    text_width=2048,
    marker="input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
    marker_width=640,
    blocks=Blocks(layers=2, attention=(False, True, True)),
    readers=(Reader("conditioner.embedders.0.transformer.", layer=2, norm=False), LARGE),
    labels=Labels(
        "stable-diffusion-xl-v1-base",
        "sdxl_base_v1-0",
        "https://github.com/Stability-AI/generative-models",
    ),
    empty_reads=False,
    latent_scale=0.13025,
    lora_names="ldm",
    folder=packaged("sdxl"),
    not_edited="one vector of the whole prompt (label_emb) is read, too, and stays",
)
