"""What ESD and UCE save: new values of some weights, under diffusers' names."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from ckptedit.deltas import apply, plan
from ckptedit.errors import BadCheckpoint, CkptError, DoesNotFit
from ckptedit.files import Checkpoint
from ckptedit.merging import merge
from deltas.conftest import BIAS, IDS, KEY, SHAPES, VALUE, dense, numbers, rounded, start, stored

BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0.attn2."
NEW = {name: start()[name] + dense(SHAPES[name], seed=i) for i, name in enumerate((KEY, VALUE))}
THEIRS = {f"{BLOCK}to_k.weight": NEW[KEY], f"{BLOCK}to_v.weight": NEW[VALUE]}


def applied(base, tensors, tmp_path, **options):
    save_file(tensors, tmp_path / "theirs.safetensors")
    options = {"fuzz": True, "force": True} | options
    return apply(base, tmp_path / "theirs.safetensors", tmp_path / "out", **options)


@pytest.mark.parametrize("prefix", ["", "unet.", "model.diffusion_model.", "diffusion_model."])
@pytest.mark.parametrize("dtype", ["F16", "F32", "BF16"])
def test_the_values_of_a_partial_file_are_those_of_the_result_and_all_else_is_the_base(
    make, tmp_path, prefix, dtype
):
    base = make("base", dtype)
    theirs = {prefix + key: value for key, value in THEIRS.items()}
    if prefix.endswith("diffusion_model."):  # the single file's own names
        theirs = {prefix + key.removeprefix("model.diffusion_model."): NEW[key] for key in NEW}
    done = applied(base, theirs, tmp_path)
    assert done.application.forms == {"values": 2}
    found, before = stored(done.path), stored(base)
    for name in before:
        if name in NEW:
            np.testing.assert_array_equal(numbers(done.path)[name], rounded(NEW[name], dtype))
        else:
            assert found[name] == before[name]


def test_what_no_sum_gives_exactly_is_taken_to_the_bit(make, tmp_path):
    """1e-30 beside a weight of 0.05, and -0.0: base + (new - base) is neither."""
    new = np.full(SHAPES[KEY], 1e-30, np.float32)
    new[0] = -0.0
    found = applied(make("base", "F32"), {f"{BLOCK}to_k.weight": new}, tmp_path).path
    assert stored(found)[KEY] == new.tobytes()


def test_a_share_of_them_is_a_share_of_the_way(make, tmp_path):
    base = make("base", "F32")
    found = numbers(applied(base, THEIRS, tmp_path, strength=0.25).path)
    for name, new in NEW.items():
        expected = 0.75 * start()[name] + 0.25 * new
        np.testing.assert_allclose(found[name], expected, atol=1e-7)


def test_a_share_goes_by_their_values_not_by_what_the_base_rounds_them_to(make, tmp_path):
    """One unit of bfloat16 above 1 is 2^-7: half of the way to 1 + 2^-6 - 2^-9 rounds up."""
    weight = np.ones(SHAPES[KEY], np.float32)
    base = make("base", "BF16", replace={KEY: weight})
    new = np.full(SHAPES[KEY], 1 + 2**-7 + 2**-8 - 2**-12, np.float32)  # alone it rounds to 1+2^-7
    found = applied(base, {f"{BLOCK}to_k.weight": new}, tmp_path, strength=0.5).path
    assert (numbers(found)[KEY] == 1 + 2**-7).all()


def test_values_cannot_be_taken_out_and_are_applied_only_with_fuzz(make, tmp_path):
    base = make("base")
    with pytest.raises(DoesNotFit, match="another tool wrote it; --fuzz uses it anyway"):
        applied(base, THEIRS, tmp_path, fuzz=False)
    done = applied(base, THEIRS, tmp_path)
    edited = done.path.rename(tmp_path / "edited")
    with pytest.raises(DoesNotFit, match=r"cannot be taken out: its change of .*to_k\.weight"):
        applied(edited, THEIRS, tmp_path, reverse=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("odd, message", [
    ({"down_blocks.7.x.weight": np.ones(3, np.float32)}, "1 of 3 modules have no weight there, su"),
    ({"conv_out.weight": np.ones(3, np.float32)}, "1 of 3 modules have no weight there"),
    ({"down_blocks.0.resnets.0.conv1.bias": np.ones(3, np.float32)}, r"is \[3\], not \[48\] as"),
    ({IDS: np.arange(7)}, "has a part of I64"),
    ({f"{BLOCK}to_k.lora_up.weight": np.ones((128, 1), np.float32)}, "is of no kind known here"),
    ({f"unet.{BLOCK}to_k.weight": NEW[KEY]}, "has two changes of"),
])  # fmt: skip
def test_what_is_not_understood_or_not_there_is_refused_by_name(make, tmp_path, odd, message):
    with pytest.raises(CkptError, match=message) as caught:
        applied(make("base"), THEIRS | odd, tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_values_that_are_not_finite_or_do_not_fit_their_dtype_are_refused(make, tmp_path):
    base = make("base", "F16")
    for value, message in ((np.nan, "NaN or Inf"), (1e6, "does not fit into its F16")):
        new = NEW[KEY].copy()
        new[1, 1] = value
        with pytest.raises(CkptError, match=message):
            applied(base, {f"{BLOCK}to_k.weight": new}, tmp_path)


def test_a_whole_checkpoint_is_no_edit(make, tmp_path):
    with (
        Checkpoint(make("base")) as base,
        Checkpoint(make("edited", changes={KEY: dense(SHAPES[KEY])})) as edited,
        pytest.raises(BadCheckpoint, match="is no delta, but a whole checkpoint: `ckptedit diff"),
    ):
        plan(base, edited, fuzz=True)


def test_partial_files_are_merged_with_deltas_and_checkpoints(make, tmp_path):
    base = make("base", "F32")
    save_file(THEIRS, tmp_path / "theirs.safetensors")
    edited = make("edited", "F32", changes={BIAS: dense((48,), 5)})
    out = merge(base, [tmp_path / "theirs.safetensors", edited], tmp_path / "out", method="task")
    found = numbers(out.path)
    for name, new in NEW.items():
        np.testing.assert_allclose(found[name], new, atol=1e-6)
    np.testing.assert_allclose(found[BIAS], numbers(edited)[BIAS], atol=1e-6)


OPEN = "conditioner.embedders.1.model.transformer.resblocks.0.attn."
LAYER = "text_encoder_2.text_model.encoder.layers.0.self_attn."
CROSS = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture
def packed(tmp_path):
    """SDXL as a single file, as far as its second text encoder's first attention goes."""
    rng = np.random.default_rng(0)
    tensors = {
        f"model.diffusion_model.{CROSS}": np.zeros((640, 2048), np.float16),
        f"{OPEN}in_proj_weight": rng.standard_normal((12, 4)).astype(np.float32),
        f"{OPEN}in_proj_bias": rng.standard_normal(12).astype(np.float32),
    }
    save_file(tensors, tmp_path / "packed.safetensors")
    return tmp_path / "packed.safetensors"


def test_q_k_v_of_a_text_encoder_change_the_thirds_of_a_packed_one(packed, tmp_path):
    """By values, by a LoRA, by differences of biases; k is not in the file and stays."""
    rng, old = np.random.default_rng(1), load_file(packed)
    up, down = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 2), (2, 4)))
    bias = rng.standard_normal(4).astype(np.float32)
    lora = {f"{LAYER}q_proj.lora_B.weight": up, f"{LAYER}q_proj.lora_A.weight": down,
            "lora_te2_text_model_encoder_layers_0_self_attn_v_proj.diff_b": bias}  # fmt: skip
    found = load_file(applied(packed, lora, tmp_path).path)
    expected = old[f"{OPEN}in_proj_weight"].copy()
    expected[:4] += up @ down
    np.testing.assert_allclose(found[f"{OPEN}in_proj_weight"], expected, atol=1e-6)
    expected = old[f"{OPEN}in_proj_bias"].copy()
    expected[8:] += bias
    np.testing.assert_allclose(found[f"{OPEN}in_proj_bias"], expected, atol=1e-6)
    values = {f"{LAYER}v_proj.weight": down.T @ up.T}
    found = load_file(applied(packed, values, tmp_path).path)[f"{OPEN}in_proj_weight"]
    np.testing.assert_allclose(found[8:], down.T @ up.T, atol=1e-6)
    np.testing.assert_array_equal(found[:8], old[f"{OPEN}in_proj_weight"][:8])
    merged = merge(packed, tmp_path / "theirs.safetensors", tmp_path / "m", method="task").path
    np.testing.assert_allclose(load_file(merged)[f"{OPEN}in_proj_weight"], found, atol=1e-6)


def test_an_esd_file_from_torch_in_half_precision_is_read(make, tmp_path):
    theirs = {key: torch.from_numpy(value).bfloat16() for key, value in THEIRS.items()}
    save_torch(theirs, tmp_path / "esd.safetensors", metadata={"format": "pt"})
    found = apply(make("base", "F32"), tmp_path / "esd.safetensors", tmp_path / "out", fuzz=True)
    np.testing.assert_array_equal(numbers(found.path)[KEY], rounded(NEW[KEY], "BF16"))
