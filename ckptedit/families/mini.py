"""The small model that ships with the tool: SD1's names and parts, text width 256."""

from ckptedit.families.family import Anchors, Blocks, Family, Labels, Reader, packaged

FOLDER = packaged("mini")
CHECKPOINT = FOLDER / "mini.safetensors"

MINI = Family(
    name="mini",
    text_width=256,
    marker="input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight",
    marker_width=128,
    blocks=Blocks(layers=1, attention=(False, True, False)),
    readers=(Reader("cond_stage_model.transformer."),),
    labels=Labels("mini"),
    guidance=5.0,
    world="canvas",
    anchors=Anchors(object="something"),
    folder=FOLDER,
)
