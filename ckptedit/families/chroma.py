"""Chroma: Flux.1 without the vector of the whole prompt, so that all text enters by `txt_in`.

https://huggingface.co/lodestones/Chroma; `ChromaTransformer2DModel` in diffusers.
"""

from ckptedit.families.family import Family, Labels, Outside
from ckptedit.families.flux1 import TOKENS

GUIDANCE = "distilled_guidance_layer.in_proj.weight"  # in either spelling

CHROMA = Family(
    name="chroma",
    text_width=4096,
    marker=GUIDANCE,
    marker_width=5120,
    marker_depth=64,
    renamed=GUIDANCE,
    blocks=None,
    matrices=(TOKENS,),
    enters="entry",
    readers=(),
    outside=Outside("T5EncoderModel", ("text_encoder", "tokenizer")),
    labels=Labels("chroma"),
    prediction=None,
)
