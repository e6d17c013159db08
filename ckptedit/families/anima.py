"""Anima: the trunk of Cosmos-Predict2 with 28 blocks that read text of width 1024.

Qwen3-0.6B and the token numbers of a T5 tokenizer go through six blocks of text alone, the
`llm_adapter`; what these put out is read by K and V of every block, at every timestep alike. Keys
are normalised per head, so that no edit can make them louder.

https://huggingface.co/circlestone-labs/Anima; `AnimaTextConditioner` in diffusers 0.42.
"""

from ckptedit.families.family import Anchors, Family, Labels, Matrix, Outside

ANIMA = Family(
    name="anima",
    text_width=1024,
    marker="blocks.0.cross_attn.k_proj.weight",
    marker_width=2048,
    renamed="transformer_blocks.0.attn2.to_k.weight",
    blocks=None,
    matrices=tuple(
        Matrix(
            rf"blocks\.\d+\.cross_attn\.{role}_proj\.weight"
            rf"|transformer_blocks\.\d+\.attn2\.to_{role}\.weight",
            role,
        )
        for role in ("k", "v")
    ),
    readers=(),
    outside=Outside(
        "Qwen3Model",
        ("text_encoder", "tokenizer", "t5_tokenizer"),
        adapter=("net.llm_adapter.", "llm_adapter.", "text_conditioner."),
    ),
    labels=Labels("anima"),
    prediction=None,
    anchors=Anchors(object="something"),
)
