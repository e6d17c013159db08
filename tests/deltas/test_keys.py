"""The keys of a delta are those that A1111 and ComfyUI know."""

import pytest

from ckptedit.deltas.keys import loads_in_uis, naming
from ckptedit.files import Spec

MARKERS = {
    "sd1": ("input_blocks.1.1", (320, 768)),
    "sd2": ("input_blocks.1.1", (320, 1024)),
    "sdxl": ("input_blocks.4.1", (640, 2048)),
    "mini": ("input_blocks.3.1", (128, 256)),
}


def header(family: str, prefix: str = "model.diffusion_model.") -> dict[str, Spec]:
    block, shape = MARKERS[family]
    name = f"{prefix}{block}.transformer_blocks.0.attn2.to_k.weight"
    return {name: Spec(name, "F16", shape)}


@pytest.mark.parametrize(
    "family, name, key",
    [
        (
            "sd1",
            "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
        ),
        (
            "sd1",
            "model.diffusion_model.middle_block.1.proj_in.weight",
            "lora_unet_mid_block_attentions_0_proj_in",
        ),
        (
            "sdxl",
            "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k",
        ),
        (
            "sd1",
            "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc1.weight",
            "lora_te_text_model_encoder_layers_11_mlp_fc1",
        ),
        (
            "sdxl",
            "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc2.weight",
            "lora_te1_text_model_encoder_layers_0_mlp_fc2",
        ),
        (
            "sdxl",
            "text_encoder_2.text_model.encoder.layers.31.self_attn.k_proj.weight",
            "lora_te2_text_model_encoder_layers_31_self_attn_k_proj",
        ),
        (
            "sdxl",
            "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight",
            "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight",
        ),
        ("sd1", "first_stage_model.decoder.conv_in.weight", "first_stage_model.decoder.conv_in"),
        ("sd1", "model_ema.decay.weight", "model_ema.decay"),
        (
            "sd2",
            "cond_stage_model.model.transformer.resblocks.0.ln_1.weight",
            "cond_stage_model.model.transformer.resblocks.0.ln_1",
        ),
    ],
)
def test_modules_of_known_families(family, name, key):
    assert naming(header(family)).stem(name) == key


def test_a_diffusers_folder_has_the_same_keys_as_the_single_file():
    marker = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    names = naming({marker: Spec(marker, "F16", (320, 768))})
    assert names.stem(marker) == naming(header("sd1")).stem(next(iter(header("sd1"))))
    text = "text_encoder.text_model.encoder.layers.0.self_attn.k_proj.weight"
    assert names.stem(text) == "lora_te_text_model_encoder_layers_0_self_attn_k_proj"


def test_a_model_of_no_known_family_keeps_its_own_names():
    names = naming({"model.layers.0.mlp.weight": Spec("model.layers.0.mlp.weight", "F16", (2, 2))})
    assert names.stem("model.layers.0.mlp.weight") == "model.layers.0.mlp"
    assert (
        names.stem("model.diffusion_model.double_blocks.0.w") == "diffusion_model.double_blocks.0.w"
    )


def test_what_is_replaced_goes_by_its_full_name_unless_it_is_a_weight():
    names, start = naming(header("sd1")), "model.diffusion_model.out.2"
    assert names.stem(f"{start}.weight", replaced=True) == "lora_unet_conv_out"
    assert names.stem(f"{start}.bias") == "lora_unet_conv_out"
    assert names.stem(f"{start}.bias", replaced=True) == "diffusion_model.out.2.bias"


@pytest.mark.parametrize(
    "key, loads",
    [
        ("lora_unet_conv_out", True),
        ("lora_te_text_model_encoder_layers_11_mlp_fc1", True),
        ("lora_te_text_model_encoder_layers_0_self_attn_out_proj", True),
        ("lora_te2_text_model_encoder_layers_31_self_attn_k_proj", True),
        ("lora_te_text_model_encoder_layers_0_layer_norm1", False),
        ("lora_te_text_model_embeddings_token_embedding", False),
        ("first_stage_model.decoder.conv_in", False),
    ],
)
def test_which_keys_load(key, loads):
    assert loads_in_uis(key) is loads
