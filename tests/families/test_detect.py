"""A family is told by shapes in the header; what is none says what it is instead."""

from types import SimpleNamespace

import pytest

from ckptedit.errors import BadCheckpoint
from ckptedit.families import FAMILIES, MINI, Spelled, detect, kv_weights, lora_name, spelled
from families.names_only import UNETS, packaged, unet_shapes


def shapes(**tensors: tuple[int, ...]) -> dict[str, SimpleNamespace]:
    return {name: SimpleNamespace(shape=shape) for name, shape in tensors.items()}


CONFIGS = UNETS | {"mini": packaged("unet", MINI)}


@pytest.mark.parametrize("spelling", ["ldm", "diffusers"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_family_is_known_by_its_unet_in_either_spelling(name: str, spelling: str) -> None:
    tensors = unet_shapes(CONFIGS[name], spelling)
    assert detect(tensors) is FAMILIES[name]
    assert spelled(tensors).spelling == spelling


def test_a_bare_unet_file_is_known_too() -> None:
    tensors = {
        name.removeprefix("unet."): info
        for name, info in unet_shapes(UNETS["sd1"], "diffusers").items()
    }
    assert detect(tensors).name == "sd1"
    assert spelled(tensors) == Spelled("diffusers", "")


LIKE_SD1 = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def test_an_unknown_text_width_is_named_beside_the_known_ones() -> None:
    with pytest.raises(BadCheckpoint, match=r"width 999; known are sd1 \(text width 768\)"):
        detect(shapes(**{LIKE_SD1: (320, 999)}))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "looks like Flux"),
        ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3"),
        ("transformer_blocks.0.attn.add_k_proj.weight", "Stable Diffusion 3 or Qwen-Image"),
        ("model.layers.0.self_attn.k_proj.weight", "language model"),
        ("first_stage_model.encoder.conv_in.weight", "no text-to-image UNet"),
        ("model.diffusion_model.input_blocks.0.0.weight", "reads no text"),
    ],
)
def test_what_is_no_family_of_ours_says_what_it_is(name: str, said: str) -> None:
    with pytest.raises(BadCheckpoint, match=said):
        detect(shapes(**{name: (4, 4)}))


SD1_BLOCKS = [1, 2, 4, 5, 7, 8]


@pytest.mark.parametrize("spelling", ["ldm", "diffusers"])
def test_sd1_has_its_thirty_two_kv_weights_in_sixteen_blocks(spelling: str) -> None:
    found = kv_weights(unet_shapes(UNETS["sd1"], spelling))
    assert len(found) == 32
    blocks = {f"IN{i:02d}" for i in SD1_BLOCKS} | {"M00"} | {f"OUT{i:02d}" for i in range(3, 12)}
    assert {kv.block for kv in found} == blocks
    assert [kv.role for kv in found].count("k") == 16
    assert all("attn2" in kv.name for kv in found)


@pytest.mark.parametrize(("name", "count"), [("sd2", 32), ("sdxl", 140), ("sdxl-refiner", 88)])
def test_the_kv_weights_of_the_larger_families_are_all_found(name: str, count: int) -> None:
    assert len(kv_weights(unet_shapes(UNETS[name], "ldm"))) == count
    assert len(kv_weights(unet_shapes(UNETS[name], "diffusers"))) == count


def test_averaged_copies_outside_the_unet_are_not_kv_weights() -> None:
    tensors = unet_shapes(UNETS["sd1"], "ldm")
    extra = "model_ema.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    assert len(kv_weights(tensors | shapes(**{extra: (1280, 768)}))) == 32


def test_a_kv_weight_of_another_width_is_refused() -> None:
    tensors = unet_shapes(UNETS["sd1"], "ldm")
    odd = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight"
    with pytest.raises(BadCheckpoint, match=r"middle_block.*\[out, 768\]"):
        kv_weights(tensors | shapes(**{odd: (1280, 1024)}))


def test_lora_names_are_those_that_loaders_know() -> None:
    tail = "transformer_blocks_0_attn2_to_k"
    down = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    expected = f"lora_unet_down_blocks_0_attentions_0_{tail}"
    assert lora_name(LIKE_SD1, FAMILIES["sd1"]) == expected
    assert lora_name(f"unet.{down}", FAMILIES["sd1"]) == expected
    assert lora_name(down, FAMILIES["sd1"]) == expected
    last = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight"
    assert lora_name(last, FAMILIES["sd1"]) == f"lora_unet_up_blocks_3_attentions_2_{tail}"


def test_lora_names_of_sdxl_are_those_of_its_single_file() -> None:
    expected = "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_v"
    ldm = "model.diffusion_model.input_blocks.4.1.transformer_blocks.1.attn2.to_v.weight"
    folder = "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_v.weight"
    assert lora_name(ldm, FAMILIES["sdxl"]) == expected
    assert lora_name(folder, FAMILIES["sdxl"]) == expected


@pytest.mark.parametrize("name", ["sd1", "sd2", "mini"])
def test_packaged_configs_agree_with_the_family(name: str) -> None:
    family = FAMILIES[name]
    unet, vae = packaged("unet", family), packaged("vae", family)
    text = packaged("text_encoder", family)
    assert unet["cross_attention_dim"] == text["hidden_size"] == family.text_width
    assert vae["scaling_factor"] == family.latent_scale
    assert vae["latent_channels"] == unet["in_channels"]
