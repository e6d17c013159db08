"""What other tools call the weights of a base: facts out of their own key maps, as tables."""

import pytest

from ckptedit.deltas.addresses import Addresses, plain
from ckptedit.deltas.parts import ENDS, part_of
from ckptedit.errors import BadCheckpoint
from ckptedit.families import FAMILIES
from ckptedit.files import Spec

UNET = "model.diffusion_model."
OPEN = {"sd2": "cond_stage_model.model.", "sdxl": "conditioner.embedders.1.model."}
CLIP = {"sd1": "cond_stage_model.transformer.text_model.",
        "sdxl": "conditioner.embedders.0.transformer.text_model."}  # fmt: skip


def header(**shapes):
    return {name: Spec(name, "F16", shape) for name, shape in shapes.items()}


def single(family):
    """A single file's header: a few weights of each component, and a packed matrix."""
    known = FAMILIES[family]
    block = known.marker.removesuffix("to_k.weight")
    shapes = {
        f"{UNET}{known.marker}": known.marker_shape,
        f"{UNET}{block}to_v.weight": known.marker_shape,
        f"{UNET}{block}to_out.0.weight": (320, 320),
        f"{UNET}{block}to_out.0.bias": (320,),
        f"{UNET}input_blocks.1.0.in_layers.2.weight": (320, 320, 3, 3),
        f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
        f"{UNET}middle_block.1.proj_in.weight": (1280, 1280),
        f"{UNET}output_blocks.2.0.skip_connection.weight": (1280, 2560, 1, 1),
        f"{UNET}time_embed.0.weight": (1280, 320),
        f"{UNET}label_emb.0.2.weight": (1280, 1280),
        f"{UNET}out.2.weight": (4, 320, 3, 3),
        "first_stage_model.decoder.mid.attn_1.q.weight": (512, 512, 1, 1),
    }
    if family in CLIP:
        layer = f"{CLIP[family]}encoder.layers.3."
        shapes |= {f"{layer}self_attn.{m}_proj.weight": (768, 768) for m in ("q", "k", "v", "out")}
        shapes[f"{layer}mlp.fc1.weight"] = (3072, 768)
    if family in OPEN:
        layer = f"{OPEN[family]}transformer.resblocks.3."
        shapes |= {f"{layer}attn.in_proj_weight": (3 * 64, 64), f"{layer}mlp.c_fc.weight": (9, 64),
                   f"{layer}attn.in_proj_bias": (3 * 64,), f"{layer}ln_1.weight": (64,),
                   f"{layer}attn.out_proj.weight": (64, 64)}  # fmt: skip
    return header(**shapes)


SD1_K = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
SDXL_K = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
MODULES = {
    "kohya-ss/sd-scripts, networks/lora.py: SD1 and SD2 by diffusers' modules": [
        ("sd1", "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", SD1_K),
        ("sd2", "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", SD1_K),
        ("sd1", "lora_unet_mid_block_attentions_0_proj_in", "middle_block.1.proj_in.weight"),
        ("sd1", "lora_unet_down_blocks_0_resnets_0_conv1", "input_blocks.1.0.in_layers.2.weight"),
        ("sd1", "lora_unet_up_blocks_0_resnets_2_conv_shortcut",
         "output_blocks.2.0.skip_connection.weight"),
        ("sd1", "lora_unet_time_embedding_linear_1", "time_embed.0.weight"),
        ("sd1", "lora_unet_conv_in", "input_blocks.0.0.weight"),
        ("sd1", "lora_te_text_model_encoder_layers_3_mlp_fc1",
         f"{CLIP['sd1']}encoder.layers.3.mlp.fc1.weight"),
    ],
    "kohya-ss/sd-scripts, networks/lora.py and sdxl_model_util.py: SDXL by the single file's": [
        ("sdxl", "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", SDXL_K),
        ("sdxl", "lora_unet_out_2", "out.2.weight"),
        ("sdxl", "lora_unet_label_emb_0_2", "label_emb.0.2.weight"),
        ("sdxl", "lora_te1_text_model_encoder_layers_3_self_attn_out_proj",
         f"{CLIP['sdxl']}encoder.layers.3.self_attn.out_proj.weight"),
        ("sdxl", "lora_te2_text_model_encoder_layers_3_mlp_fc1",
         f"{OPEN['sdxl']}transformer.resblocks.3.mlp.c_fc.weight"),
    ],
    "Comfy-Org/ComfyUI, comfy/lora.py: model_lora_keys_unet and _clip": [
        ("sd1", f"diffusion_model.{SD1_K.removesuffix('.weight')}", SD1_K),
        ("sd1", "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k", SD1_K),
        ("sdxl", "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", SDXL_K),
        ("sd1", "lora_prior_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k", SD1_K),
        ("sd1", "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", SD1_K),
        ("sd1", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k", SD1_K),
        ("sd1", "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k", SD1_K),
        ("sd1", "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_out",
         "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0.weight"),
        ("sd1", "lora_te1_text_model_encoder_layers_3_self_attn_q_proj",
         f"{CLIP['sd1']}encoder.layers.3.self_attn.q_proj.weight"),
        ("sd1", "text_encoder.text_model.encoder.layers.3.self_attn.q_proj",
         f"{CLIP['sd1']}encoder.layers.3.self_attn.q_proj.weight"),
        ("sdxl", "text_encoders.clip_l.transformer.text_model.encoder.layers.3.mlp.fc1",
         f"{CLIP['sdxl']}encoder.layers.3.mlp.fc1.weight"),
        ("sdxl", "text_encoders.clip_g.transformer.text_model.encoder.layers.3.mlp.fc1",
         f"{OPEN['sdxl']}transformer.resblocks.3.mlp.c_fc.weight"),
        ("sdxl", "text_encoder_2.text_model.encoder.layers.3.self_attn.out_proj",
         f"{OPEN['sdxl']}transformer.resblocks.3.attn.out_proj.weight"),
    ],
    "huggingface/diffusers, loaders/lora_conversion_utils.py and lora_base.py": [
        ("sd1", "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", SD1_K),
        ("sd1", "text_encoder.text_model.encoder.layers.3.self_attn.to_q",
         f"{CLIP['sd1']}encoder.layers.3.self_attn.q_proj.weight"),
        ("sd1", "text_encoder.encoder.layers.3.mlp.fc1",
         f"{CLIP['sd1']}encoder.layers.3.mlp.fc1.weight"),
        ("sdxl", "lora_unet_input_blocks_0_0", "input_blocks.0.0.weight"),
        ("sdxl", "lora_unet_time_embed_0", "time_embed.0.weight"),
    ],
    "huggingface/peft, utils/save_and_load.py: base_model.model. before the module": [
        ("sd1", "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
         SD1_K),
        ("sd1", "base_model.model.unet.conv_out", "out.2.weight"),
    ],
}  # fmt: skip
CASES = [(source, *case) for source, cases in MODULES.items() for case in cases]


@pytest.mark.parametrize("source, family, module, name", CASES)
def test_a_module_of_another_tool_is_found(source, family, module, name):
    base = single(family)
    name = name if name in base else UNET + name
    (place,) = Addresses(base).find(module)
    assert place == (name, 0, base[name].shape[0])


PARTS = {
    "Comfy-Org/ComfyUI, comfy/weight_adapter/lora.py": {
        "{}.lora_up.weight": "up", "{}.lora_down.weight": "down", "{}.lora_mid.weight": "mid",
        "{}_lora.up.weight": "up", "{}_lora.down.weight": "down",
        "{}.lora_B.weight": "up", "{}.lora_A.weight": "down",
        "{}.lora.up.weight": "up", "{}.lora.down.weight": "down",
        "{}.lora_B": "up", "{}.lora_A": "down",
        "{}.lora_linear_layer.up.weight": "up", "{}.lora_linear_layer.down.weight": "down",
        "{}.lora_B.default.weight": "up", "{}.lora_A.default.weight": "down",
    },
    "Comfy-Org/ComfyUI, comfy/lora.py: load_lora": {
        "{}.alpha": "alpha", "{}.dora_scale": "dora_scale", "{}.w_norm": "diff",
        "{}.b_norm": "diff_b", "{}.diff": "diff", "{}.diff_b": "diff_b", "{}.set_weight": "set",
        "{}.reshape_weight": None, "{}.a1.weight": None,
    },
    "Comfy-Org/ComfyUI, comfy/weight_adapter/loha.py and lokr.py": {
        **{f"{{}}.hada_{p}": p for p in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
        **{f"{{}}.lokr_{p}": f"k{p}"
           for p in ("w1", "w2", "w1_a", "w1_b", "w2_a", "w2_b", "t2")},
    },
    "huggingface/peft, tuners/lora/dora.py, and diffusers, loaders/lora_conversion_utils.py": {
        "{}.lora_magnitude_vector": "magnitude_vector",
        "{}.lora_magnitude_vector.weight": "magnitude_vector",
        "{}.lora_B.bias": None, "{}.lora_embedding_A": None,
    },
    "KohakuBlueleaf/LyCORIS, modules/*.py: other algorithms": {
        "{}.oft_blocks": None, "{}.on_input": None, "{}.lokr_t1": None, "{}.weight": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("source", PARTS)
def test_the_end_of_a_key_says_which_part_it_is_in_every_tool(source):
    for key, part in PARTS[source].items():
        for module in ("lora_unet_conv_in", "unet.conv_in", "a_lora.b"):
            expected = part and (module, part)
            assert part_of(key.format(module)) == expected, key


def test_the_ends_that_are_known_are_those_of_the_tools_and_no_others():
    told = {key.removeprefix("{}") for table in PARTS.values() for key, p in table.items() if p}
    assert told | {".lora_magnitude_vector.default.weight"} == set(ENDS)


# ComfyUI's clip_text_transformers_convert: q, k, v are the thirds of in_proj, in this order
@pytest.mark.parametrize("family, start", [("sd2", "lora_te"), ("sdxl", "lora_te2")])
@pytest.mark.parametrize("third, letter", list(enumerate("qkv")))
def test_q_k_and_v_are_thirds_of_what_open_clip_packs(family, start, third, letter):
    name = f"{OPEN[family]}transformer.resblocks.3.attn.in_proj_weight"
    module = f"{start}_text_model_encoder_layers_3_self_attn_{letter}_proj"
    addresses = Addresses(single(family))
    assert addresses.find(module) == ((name, 64 * third, 64 * third + 64),)
    bias = name.replace("_weight", "_bias")
    assert addresses.find(module, bias=True) == ((bias, 64 * third, 64 * third + 64),)


def folder(family):
    """The same weights under a diffusers folder's names, as far as the tests ask."""
    block = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2."
    layer = "text_encoder_2.text_model.encoder.layers.3."
    shapes = {
        f"{block}to_k.weight": FAMILIES[family].marker_shape,
        "unet.conv_in.weight": (320, 4, 3, 3),
        f"{layer}mlp.fc1.weight": (9, 64),
    } | {f"{layer}self_attn.{letter}_proj.weight": (64, 64) for letter in "qkv"}
    return header(**shapes)


@pytest.mark.parametrize("module, names", [
    ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k",
     ["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"]),
    ("diffusion_model.input_blocks.0.0", ["unet.conv_in.weight"]),
    ("lora_te2_text_model_encoder_layers_3_self_attn_k_proj",
     ["text_encoder_2.text_model.encoder.layers.3.self_attn.k_proj.weight"]),
    (f"{OPEN['sdxl']}transformer.resblocks.3.mlp.c_fc",
     ["text_encoder_2.text_model.encoder.layers.3.mlp.fc1.weight"]),
    (f"{OPEN['sdxl']}transformer.resblocks.3.attn.in_proj_weight",
     [f"text_encoder_2.text_model.encoder.layers.3.self_attn.{letter}_proj.weight"
      for letter in "qkv"]),
])  # fmt: skip
def test_a_folder_answers_to_the_names_of_the_single_file(module, names):
    places = Addresses(folder("sdxl")).find(module)
    assert [place.name for place in places] == names


def test_a_name_of_no_weight_and_a_bias_of_a_module_without_one_are_not_found():
    addresses = Addresses(single("sd1"))
    assert addresses.find("lora_unet_down_blocks_9_attentions_0_proj_in") is None
    assert addresses.find("lora_te2_text_model_encoder_layers_3_mlp_fc1") is None
    assert addresses.find("unet.conv_out") and addresses.find("unet.conv_out", bias=True) is None
    attention = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0"
    (place,) = addresses.find(attention, bias=True)
    assert place.name.endswith("attn2.to_out.0.bias")


def test_a_name_that_may_mean_two_weights_is_refused():
    addresses = Addresses(header(**{"a.b_c.weight": (2, 2), "a.b.c.weight": (2, 2)}))
    with pytest.raises(BadCheckpoint, match="the base has two weights that lora_unet_a_b_c may"):
        addresses.find("lora_unet_a_b_c")


def test_prefixes_are_taken_away_one_after_the_other_but_none_of_another_component():
    assert plain("base_model.model.model.diffusion_model.a.b") == "denoiser/a_b"
    assert plain("base_model.model.text_encoder.text_model.a") == "text 1/a"
    assert plain("text_encoder.unet.a") == "text 1/unet_a"
