"""Blocks and roles are told from names in every spelling."""

import pytest

from ckptedit.families import block_role, blocks_of
from ckptedit.families.names import translate, unet_table
from families.names_only import UNETS, unet_shapes

LDM = "model.diffusion_model."


PLACES = f"""
{LDM}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight   IN04 k unet
{LDM}input_blocks.4.1.transformer_blocks.0.attn1.to_k.weight   IN04 self.k unet
{LDM}middle_block.1.transformer_blocks.0.attn2.to_out.0.bias   M00 out unet
{LDM}output_blocks.11.1.transformer_blocks.0.ff.net.2.weight   OUT11 ff unet
{LDM}output_blocks.11.1.proj_out.weight                        OUT11 proj unet
{LDM}input_blocks.1.1.transformer_blocks.0.norm2.weight        IN01 norm unet
{LDM}input_blocks.1.0.in_layers.0.weight                       IN01 norm unet
{LDM}input_blocks.1.0.in_layers.2.weight                       IN01 conv unet
{LDM}input_blocks.1.0.emb_layers.1.weight                      IN01 time unet
{LDM}input_blocks.3.0.op.weight                                IN03 conv unet
{LDM}input_blocks.0.0.weight                                   IN00 conv unet
{LDM}time_embed.0.weight                                       TIME time unet
{LDM}out.0.weight                                              END norm unet
{LDM}out.2.weight                                              END conv unet
unet.up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_v.weight          OUT11 v unet
down_blocks.1.downsamplers.0.conv.weight                                      IN06 conv unet
first_stage_model.encoder.down.1.block.0.conv1.weight                         ENC1 conv vae
first_stage_model.decoder.mid.attn_1.q.weight                                 DECM q vae
first_stage_model.decoder.mid.attn_1.proj_out.weight                          DECM out vae
vae.decoder.mid_block.attentions.0.to_out.0.weight                            DECM out vae
cond_stage_model.transformer.text_model.encoder.layers.7.self_attn.k_proj.weight  T07 k text
cond_stage_model.model.transformer.resblocks.3.attn.in_proj_weight            T03 qkv text
conditioner.embedders.1.model.transformer.resblocks.3.ln_1.bias               T03 norm text2
text_encoder.text_model.embeddings.token_embedding.weight                     EMB embed text
model.layers.12.self_attn.o_proj.weight                                       L12 out model
model.layers.12.self_attn.k_proj.weight                                       L12 k model
model.layers.3.mlp.gate_proj.weight                                           L03 ff model
model.layers.3.input_layernorm.weight                                         L03 norm model
transformer.h.5.attn.c_attn.weight                                            L05 qkv model
bert.encoder.layer.5.attention.self.query.weight                              L05 q model
model.embed_tokens.weight                                                     EMB embed model
lm_head.weight                                                                HEAD head model
double_blocks.3.txt_attn.qkv.weight                                           D03 qkv model
whatever                                                                      END other model
"""


@pytest.mark.parametrize("line", PLACES.strip().splitlines())
def test_a_name_tells_its_place(line: str) -> None:
    name, block, role, component = line.split()
    assert block_role(name) == (block, role, component)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_both_spellings_of_a_unet_weight_have_the_same_place(family: str) -> None:
    config = UNETS[family]
    table = unet_table(blocks_of(config))
    for name in unet_shapes(config, "diffusers"):
        bare = name.removeprefix("unet.")
        ours = block_role(f"{LDM}{translate(bare, table)}")
        theirs = block_role(name)
        assert ours == theirs, name


def test_no_weight_of_a_full_unet_is_without_a_role() -> None:
    for spelling in ("ldm", "diffusers"):
        others = [n for n in unet_shapes(UNETS["sdxl"], spelling) if block_role(n).role == "other"]
        assert not others


def test_blocks_are_counted_by_the_layers_of_the_unet() -> None:
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    assert block_role(name, layers=1).block == "IN03"
    assert block_role(name, layers=2).block == "IN04"
