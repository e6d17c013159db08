"""A single file and a diffusers folder of one model are one model."""

from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny_model import random_mini, random_mini_folder

from ckptedit.errors import BadCheckpoint
from ckptedit.families import FAMILIES, spelled_like
from ckptedit.families.spelling import common_names, counterparts, stored_name
from ckptedit.families.stored import Source
from ckptedit.files import Checkpoint
from families.names_only import UNETS, unet_shapes


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spelling")
    return random_mini(folder / "one.safetensors"), random_mini_folder(folder / "parts")


@pytest.mark.parametrize("turned", [False, True])
def test_each_tensor_is_found_under_the_others_name_with_its_bytes_and_shape(both, turned):
    one, other = reversed(both) if turned else both
    with Checkpoint(one) as here, Checkpoint(other) as there:
        view = spelled_like(here, there)
        assert view.keys() == there.keys() and not here.keys() & there.keys()
        for name in there:
            assert view[name].shape == there[name].shape
            assert view.raw(name).tobytes() == there.raw(name).tobytes()
        assert view.data_sha256() == here.data_sha256() != there.data_sha256()
        assert spelled_like(there, here).keys() == here.keys()


def test_a_checkpoint_with_the_same_names_is_itself(both):
    with Checkpoint(both[0]) as one, Checkpoint(both[0]) as again:
        assert spelled_like(one, again) is one


def test_the_unet_alone_is_found_too(both, tmp_path):
    with Checkpoint(both[0]) as whole, Checkpoint(both[1] / "unet") as bare:
        view = spelled_like(bare, whole)
        assert len(view) == len(bare) and all(name in whole for name in view)
        assert all(view.raw(n).tobytes() == whole.raw(n).tobytes() for n in view)


@pytest.mark.parametrize("family", UNETS)
def test_every_weight_of_a_full_size_unet_has_its_counterpart(family):
    single, folder = (unet_shapes(UNETS[family], way) for way in ("ldm", "diffusers"))
    assert {n: s.name for n, s in counterparts(single, folder).items()}.keys() == folder.keys()
    there = counterparts(folder, single)
    assert sorted(source.name for source in there.values()) == sorted(folder)
    for name, source in there.items():
        assert folder[source.name].shape == single[name].shape


def test_packed_matrices_come_apart(tmp_path):
    rng = np.random.default_rng(0)
    q, k, v, rest = (rng.standard_normal((8, 8)).astype(np.float16) for _ in range(4))
    marker = np.zeros((320, 1024), np.float16)
    spot = "transformer_blocks.0.attn2.to_k.weight"
    start, layer = "cond_stage_model.model.transformer.resblocks.3", "text_encoder.text_model"
    save_file(
        {f"model.diffusion_model.input_blocks.1.1.{spot}": marker,
         f"{start}.attn.in_proj_weight": np.concatenate([q, k, v]),
         f"{start}.attn.out_proj.weight": rest},
        tmp_path / "one.safetensors",
    )  # fmt: skip
    folder = tmp_path / "parts"
    for part, file, tensors in (
        ("unet", "diffusion_pytorch_model", {f"down_blocks.0.attentions.0.{spot}": marker}),
        ("text_encoder", "model", {
            f"text_model.encoder.layers.3.self_attn.{n}_proj.weight": np.zeros_like(q)
            for n in ("q", "k", "v", "out")}),
    ):  # fmt: skip
        (folder / part).mkdir(parents=True)
        save_file(tensors, folder / part / f"{file}.safetensors")
    with Checkpoint(tmp_path / "one.safetensors") as one, Checkpoint(folder) as parts:
        view = spelled_like(one, parts)
        assert view.keys() == parts.keys() and view.data_sha256() == one.data_sha256()
        for letter, matrix in zip(("q", "k", "v", "out"), (q, k, v, rest), strict=True):
            name = f"{layer}.encoder.layers.3.self_attn.{letter}_proj.weight"
            assert (view.values(name) == matrix).all()
        packed = f"{start}.attn.in_proj_weight"
        assert packed not in spelled_like(parts, one)  # they are three tensors there


def test_what_no_folder_has_keeps_its_name():
    names = ["model_ema.decay", "betas", "model.diffusion_model.new.weight", "unet.conv_in.weight"]
    found = dict(common_names(names, FAMILIES["sd1"]))
    assert found == {"unet.conv_in.weight": Source("unet.conv_in.weight")}


def test_the_names_that_vae_attention_used_to_have_are_known():
    new = "first_stage_model.decoder.mid.attn_1.k.weight"
    old = "vae.decoder.mid_block.attentions.0.key.weight"
    found = [common for common, _ in common_names([new, old], FAMILIES["sd1"])]
    assert found == ["vae.decoder.mid_block.attentions.0.to_k.weight"] * 2


def test_models_of_no_known_family_are_left_alone():
    one, other = (
        {"a.weight": SimpleNamespace(shape=(1,))},
        {"b.weight": SimpleNamespace(shape=(1,))},
    )
    assert counterparts(one, other) == {}


@pytest.mark.parametrize(
    "family, stored",
    [
        ("sd1", "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.out_proj"),
        ("sd1", "text_encoder.text_model.encoder.layers.0.self_attn.out_proj"),
        ("sd2", "cond_stage_model.model.transformer.resblocks.0.attn.out_proj"),
    ],
)
def test_one_weight_is_found_by_its_common_name_in_any_spelling(family, stored):
    layer = "text_encoder.encoder.layers.0.self_attn"
    names = [f"{stored}.bias", stored.replace("layers.0", "layers.1") + ".weight"]
    found = stored_name([*names, f"{stored}.weight"], FAMILIES[family], f"{layer}.out_proj.weight")
    assert found == f"{stored}.weight"
    with pytest.raises(BadCheckpoint, match="q_proj"):
        stored_name(names, FAMILIES[family], f"{layer}.q_proj.weight")
