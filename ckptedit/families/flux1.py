"""Flux.1, dev and schnell: T5-XXL of width 4096, and one CLIP vector of 768 for the whole prompt.

Text enters once, through `txt_in`, and is one sequence with the picture from there on: what later
matrices read depends on the picture and the timestep, so that only an edit of the entry is exact.

https://github.com/black-forest-labs/flux
"""

from ckptedit.families.family import Family, Labels, Matrix, Outside

TOKENS = Matrix(r"txt_in\.weight|context_embedder\.weight", "v")

FLUX1 = Family(
    name="flux1",
    text_width=4096,
    marker="vector_in.in_layer.weight",
    marker_width=3072,
    marker_depth=768,
    renamed="time_text_embed.text_embedder.linear_1.weight",
    blocks=None,
    matrices=(
        TOKENS,
        Matrix(
            r"vector_in\.in_layer\.weight|time_text_embed\.text_embedder\.linear_1\.weight",
            "v",
            pooled=True,
        ),
    ),
    enters="entry",
    not_edited="one vector of the whole prompt (vector_in) is read, too, and stays",
    readers=(),
    outside=Outside("T5EncoderModel", ("text_encoder_2", "tokenizer_2"), length=512),
    labels=Labels("flux-1-dev", "flux1", "https://github.com/black-forest-labs/flux"),
    prediction=None,
)
