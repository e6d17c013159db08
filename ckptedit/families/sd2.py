"""Stable Diffusion 2.x: OpenCLIP ViT-H/14, text width 1024.

The 512-pixel models predict the noise and the 768-pixel models the velocity; the weights do not say
which one a file is.
"""

from ckptedit.families.family import Blocks, Family, Labels, packaged

SD2 = Family(
    name="sd2",
    text_width=1024,
    marker="input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    marker_width=320,
    blocks=Blocks(layers=2, attention=(True, True, True, False)),
    text_prefix="cond_stage_model.model.",
    labels=Labels("stable-diffusion-v2-768-v", "sd_v2"),
    text_layout="open_clip",
    prediction=None,
    folder=packaged("sd2"),
)
