"""Two spellings of the same weights: the single file's (LDM) and diffusers'.

Each table maps a diffusers module to the single file's; a tensor's name is translated by its
longest prefix in the table. The tables are general in levels and layers, so that one function
serves every family and small test models.

After the tables in diffusers' `loaders/single_file_utils.py`, which only go from LDM to diffusers;
the tests compare with them.
"""

from collections.abc import Mapping

from ckptedit.errors import BadCheckpoint
from ckptedit.families.family import Blocks

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}

ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}

VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def translate(name: str, table: Mapping[str, str]) -> str:
    """Spells a tensor's name the other way.

    table: modules, from the spelling of `name` to the one wanted
    """
    end = len(name)
    while end > 0:
        if (module := name[:end]) in table:
            return table[module] + name[end:]
        end = name.rfind(".", 0, end)
    raise BadCheckpoint(f"{name!r} is not the name of a weight in this architecture")


def inverse(table: Mapping[str, str]) -> dict[str, str]:
    """The table of the way back."""
    return {there: here for here, there in table.items()}


def unet_table(blocks: Blocks) -> dict[str, str]:
    """diffusers module -> LDM module, both without their prefix, for a UNet of these blocks."""
    stride = blocks.layers + 1
    table = dict(ENDS)
    for level in range(blocks.levels):
        for layer in range(blocks.layers):
            down = f"input_blocks.{stride * level + layer + 1}"
            table |= _resnet(f"down_blocks.{level}.resnets.{layer}", f"{down}.0")
            table[f"down_blocks.{level}.attentions.{layer}"] = f"{down}.1"
        for layer in range(stride):
            up = f"output_blocks.{stride * level + layer}"
            table |= _resnet(f"up_blocks.{level}.resnets.{layer}", f"{up}.0")
            table[f"up_blocks.{level}.attentions.{layer}"] = f"{up}.1"
        down = f"input_blocks.{stride * (level + 1)}"
        table[f"down_blocks.{level}.downsamplers.0.conv"] = f"{down}.0.op"
        # the upsampler follows the attention, where there is one, in the level's last block
        place = 2 if blocks.attention[::-1][level] else 1
        up = f"output_blocks.{stride * level + blocks.layers}"
        table[f"up_blocks.{level}.upsamplers.0.conv"] = f"{up}.{place}.conv"
    table |= _resnet("mid_block.resnets.0", "middle_block.0")
    table["mid_block.attentions.0"] = "middle_block.1"
    return table | _resnet("mid_block.resnets.1", "middle_block.2")


def _resnet(here: str, there: str) -> dict[str, str]:
    return {f"{here}.{a}": f"{there}.{b}" for a, b in RESNET.items()}


def vae_table(levels: int, layers: int) -> dict[str, str]:
    """diffusers module -> LDM module, both without their prefix, for an AutoencoderKL.

    layers: residual blocks per level of the encoder (the decoder has one more)

    The four matrices of the attention are [c, c, 1, 1] in the single file and [c, c] in diffusers.
    """
    table = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for level in range(levels):
        up = levels - 1 - level  # the single file counts the decoder's levels from the picture
        for layer in range(layers):
            here = f"encoder.down_blocks.{level}.resnets.{layer}"
            table |= _vae_resnet(here, f"encoder.down.{level}.block.{layer}")
        for layer in range(layers + 1):
            here = f"decoder.up_blocks.{level}.resnets.{layer}"
            table |= _vae_resnet(here, f"decoder.up.{up}.block.{layer}")
        table[f"encoder.down_blocks.{level}.downsamplers.0"] = f"encoder.down.{level}.downsample"
        table[f"decoder.up_blocks.{level}.upsamplers.0"] = f"decoder.up.{up}.upsample"
    for half in ("encoder", "decoder"):
        table |= {f"{half}.{end}": f"{half}.{end}" for end in ("conv_in", "conv_out")}
        table[f"{half}.conv_norm_out"] = f"{half}.norm_out"
        table |= _vae_resnet(f"{half}.mid_block.resnets.0", f"{half}.mid.block_1")
        table |= _vae_resnet(f"{half}.mid_block.resnets.1", f"{half}.mid.block_2")
        for here, there in VAE_ATTENTION.items():
            table[f"{half}.mid_block.attentions.0.{here}"] = f"{half}.mid.attn_1.{there}"
    return table


def _vae_resnet(here: str, there: str) -> dict[str, str]:
    return {here: there, f"{here}.conv_shortcut": f"{there}.nin_shortcut"}
