"""Stable Diffusion 2.x: OpenCLIP ViT-H/14, text width 1024.

It reads the layer before the last, under the final norm.

The 512-pixel models predict the noise and the 768-pixel models the velocity; the weights do not say
which one a file is.
"""

from ckptedit.families.family import Blocks, Family, Labels, Reader, packaged

SD2 = Family(
    name="sd2",
    text_width=1024,
    marker="input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    marker_width=320,
    blocks=Blocks(layers=2, attention=(True, True, True, False)),
    readers=(Reader("cond_stage_model.model.", "open_clip", layer=2, left_out=1, pad="!"),),
    labels=Labels("stable-diffusion-v2-768-v", "sd_v2"),
    prediction=None,
    folder=packaged("sd2"),
)
