import pytest

from ckptedit.errors import BadParam, UnknownName
from ckptedit.merging.blocks import NAMES, SDXL, block, block_factors, expand, parse_blocks

UNET = "model.diffusion_model"


@pytest.mark.parametrize(
    "name, expected",
    [
        (f"{UNET}.input_blocks.0.0.weight", "IN00"),
        (f"{UNET}.input_blocks.11.0.in_layers.0.weight", "IN11"),
        (f"{UNET}.middle_block.1.norm.weight", "M00"),
        (f"{UNET}.output_blocks.4.1.proj_in.weight", "OUT04"),
        (f"{UNET}.time_embed.0.weight", "BASE"),
        (f"{UNET}.out.2.weight", "BASE"),
        ("cond_stage_model.transformer.text_model.encoder.layers.3.mlp.fc1.weight", "BASE"),
        ("first_stage_model.decoder.up.2.block.1.conv1.weight", "BASE"),
        ("unet.down_blocks.1.attentions.0.proj_in.weight", "IN04"),
        ("unet.up_blocks.3.resnets.2.conv1.weight", "OUT11"),
        ("model.layers.3.mlp.up_proj.weight", "BASE"),
    ],
)
def test_a_tensor_belongs_to_a_block(name, expected):
    assert block(name) == expected


def test_patterns_name_several_blocks_and_later_ones_override():
    factors = expand(parse_blocks(["IN03=1", "IN*=0.5", "IN03=0", "M00=2"]))
    assert factors["IN00"] == factors["IN11"] == 0.5
    assert factors["IN03"] == 0 and factors["M00"] == 2 and "OUT00" not in factors


def test_blocks_that_are_not_named_have_factor_1():
    names = f"{UNET}.input_blocks.1.0.weight", f"{UNET}.middle_block.0.weight"
    assert block_factors(parse_blocks(["M00=0"]), names) == {names[0]: 1, names[1]: 0}
    assert block_factors({}, names) == dict.fromkeys(names, 1)


def test_twenty_six_numbers_give_all_blocks_in_order():
    factors = parse_blocks([",".join(str(i) for i in range(26))])
    assert list(factors) == list(NAMES) and factors["OUT11"] == 25


@pytest.mark.parametrize(
    "text, error",
    [("IN99=1", UnknownName), ("IN00", BadParam), ("IN00=x", BadParam), ("1,2", BadParam)],
)
def test_what_names_no_block_or_number_is_refused(text, error):
    with pytest.raises(error):
        parse_blocks([text])


def unet(blocks):
    """The names of a UNet with so many blocks on either side."""
    numbered = [
        f"{UNET}.{way}_blocks.{i}.0.w" for way in ("input", "output") for i in range(blocks)
    ]
    return [f"{UNET}.time_embed.0.weight", f"{UNET}.middle_block.0.weight", *numbered]


def test_twenty_numbers_give_all_blocks_of_sdxl_in_order():
    factors = parse_blocks([",".join(str(i) for i in range(20))])
    assert tuple(factors) == SDXL and len(SDXL) == 20
    found = block_factors(factors, unet(9))
    assert found[f"{UNET}.output_blocks.8.0.w"] == 19
    assert found[f"{UNET}.middle_block.0.weight"] == 10


def test_twenty_numbers_are_too_few_for_a_deeper_unet():
    match = "20 block factors are those of SDXL, but the base has IN09, .*OUT11 too: give 26"
    with pytest.raises(UnknownName, match=match):
        block_factors(parse_blocks([",".join("1" * 20)]), unet(12))


@pytest.mark.parametrize("pattern", ["IN05", "OUT1?"])
def test_a_block_that_the_base_lacks_is_an_error(pattern):
    with pytest.raises(UnknownName) as caught:
        block_factors(parse_blocks(["IN*=1", f"{pattern}=0"]), unet(2))
    known = "BASE, IN00, IN01, M00, OUT00, OUT01"
    assert str(caught.value) == f"the base has no block {pattern!r}; it has {known}"


def test_a_wildcard_need_not_fit_all_that_it_names():
    assert set(block_factors(parse_blocks(["IN*=0.5"]), unet(2)).values()) == {0.5, 1}
    assert set(block_factors(parse_blocks([",".join("2" * 26)]), unet(2)).values()) == {2}
