"""Stable Diffusion 1.x: CLIP ViT-L/14, text width 768."""

from ckptedit.families.family import Blocks, Family, Labels, Reader, packaged

SD1 = Family(
    name="sd1",
    text_width=768,
    marker="input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    marker_width=320,
    blocks=Blocks(layers=2, attention=(True, True, True, False)),
    readers=(Reader("cond_stage_model.transformer."),),
    labels=Labels("stable-diffusion-v1", "sd_v1"),
    folder=packaged("sd1"),
)
