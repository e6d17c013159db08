"""Families without a UNet: where their text is read, told from real names and shapes."""

from types import SimpleNamespace

import pytest

from ckptedit.errors import BadCheckpoint
from ckptedit.families import (
    ANIMA,
    CHROMA,
    FAMILIES,
    FLUX1,
    block_role,
    detect,
    kv_role,
    kv_weights,
    lora_name,
)
from families.transformers_named import converted, diffusers_shapes, single_shapes

NAMES = [name for name, family in FAMILIES.items() if family.blocks is None]
Header = dict[str, SimpleNamespace]


def header(shapes: dict[str, tuple[int, ...]], prefix: str = "") -> Header:
    return {prefix + name: SimpleNamespace(shape=shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_single_files_are_those_that_diffusers_knows(name: str) -> None:
    assert converted(name) == diffusers_shapes(name)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "net."])
@pytest.mark.parametrize("name", NAMES)
def test_a_transformer_is_known_by_its_single_file(name: str, prefix: str) -> None:
    assert detect(header(single_shapes(name), prefix)) is FAMILIES[name]


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("name", NAMES)
def test_and_by_a_diffusers_folder(name: str, prefix: str) -> None:
    assert detect(header(diffusers_shapes(name), prefix)) is FAMILIES[name]


@pytest.mark.parametrize("prefix", ["", "net.", "model.diffusion_model."])
def test_anima_reads_text_in_fifty_six_matrices_and_not_in_its_adapter(prefix: str) -> None:
    found = kv_weights(header(single_shapes("anima"), prefix))
    assert len(found) == 56
    assert [weight.role for weight in found].count("v") == 28
    assert {weight.block for weight in found} == {f"L{i:02d}" for i in range(28)}
    assert not any("llm_adapter" in weight.name for weight in found)
    assert len(kv_weights(header(diffusers_shapes("anima"), "transformer."))) == 56


@pytest.mark.parametrize(
    ("name", "shapes", "entry"),
    [
        ("flux1", single_shapes, "txt_in.weight"),
        ("flux1", diffusers_shapes, "context_embedder.weight"),
        ("chroma", single_shapes, "txt_in.weight"),
        ("chroma", diffusers_shapes, "context_embedder.weight"),
    ],
)
def test_flux_and_chroma_read_text_in_one_matrix(name: str, shapes, entry: str) -> None:  # type: ignore[no-untyped-def]
    assert [weight.name for weight in kv_weights(header(shapes(name)))] == [entry]


def test_the_vector_of_the_whole_prompt_is_read_by_flux_and_not_by_chroma() -> None:
    pooled = kv_weights(header(single_shapes("flux1")), FLUX1, pooled=True)
    assert [weight.name for weight in pooled] == ["vector_in.in_layer.weight"]
    assert kv_weights(header(single_shapes("chroma")), CHROMA, pooled=True) == []
    assert "vector_in" in FLUX1.not_edited and not CHROMA.not_edited


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("net.blocks.3.cross_attn.k_proj.weight", "k"),
        ("model.diffusion_model.net.blocks.3.cross_attn.k_proj.weight", ""),
        ("transformer_blocks.3.attn2.to_v.weight", "v"),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", "k"),
        ("net.blocks.3.self_attn.k_proj.weight", ""),
        ("net.llm_adapter.blocks.3.cross_attn.k_proj.weight", ""),
        ("txt_in.weight", "v"),
        ("vector_in.in_layer.weight", "v"),
        ("some.kv.weight[k]", "k"),
    ],
)
def test_a_name_says_whether_text_becomes_keys_or_values_there(name: str, role: str) -> None:
    assert kv_role(name) == role


@pytest.mark.parametrize(
    ("name", "block", "role"),
    [
        ("net.blocks.3.cross_attn.k_proj.weight", "L03", "k"),
        ("net.blocks.3.self_attn.k_proj.weight", "L03", "self.k"),
        ("net.blocks.3.self_attn.output_proj.weight", "L03", "self.out"),
        ("net.llm_adapter.blocks.5.cross_attn.v_proj.weight", "T05", "v"),
        ("model.diffusion_model.double_blocks.7.txt_attn.qkv.weight", "D07", "qkv"),
        ("model.diffusion_model.single_blocks.31.linear1.weight", "S31", "other"),
        ("model.diffusion_model.txt_in.weight", "EMB", "other"),
        ("model.diffusion_model.blocks.11.cross_attn.v_proj.weight", "L11", "v"),
    ],
)
def test_tables_tell_the_places_of_a_transformer_apart(name: str, block: str, role: str) -> None:
    found = block_role(name)
    assert (found.block, found.role) == (block, role)


def test_an_entry_of_another_width_is_refused() -> None:
    tensors = header(single_shapes("chroma"))
    tensors["txt_in.weight"] = SimpleNamespace(shape=(3072, 2048))
    with pytest.raises(BadCheckpoint, match=r"txt_in.weight has shape .* expected \[out, 4096\]"):
        kv_weights(tensors)


def test_lora_keys_of_transformers_are_the_names_of_the_file() -> None:
    expected = "lora_unet_blocks_27_cross_attn_v_proj"
    assert lora_name("net.blocks.27.cross_attn.v_proj.weight", ANIMA) == expected
    expected = "lora_unet_double_blocks_0_txt_attn_qkv"
    name = "model.diffusion_model.double_blocks.0.txt_attn.qkv.weight"
    assert lora_name(name, FLUX1) == expected
