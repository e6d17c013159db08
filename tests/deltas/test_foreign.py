"""LoRAs of other tools: every part is checked when the file is opened, or refused in one line."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from ckptedit.deltas import apply, plan, write_delta
from ckptedit.deltas.foreign import require_whole
from ckptedit.deltas.parts import ENDS as PARTS
from ckptedit.deltas.parts import part_of
from ckptedit.errors import BadCheckpoint, CkptError, Incompatible
from ckptedit.families import average_name
from ckptedit.files import Checkpoint, Spec, pack_header, write, write_edited
from ckptedit.merging import METHODS, merge
from deltas.conftest import KEY, SHAPES, low_rank, numbers, stored

MODULE = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
UP, DOWN, ALPHA, DIFF = (f"{MODULE}{s}" for s in (".lora_up.weight", ".lora_down.weight", ".alpha",
                                                  ".diff"))  # fmt: skip
OUT, IN = SHAPES[KEY]
RNG = np.random.default_rng(0)
FACTORS = {
    UP: RNG.standard_normal((OUT, 2)).astype(np.float32) * 0.05,
    DOWN: RNG.standard_normal((2, IN)).astype(np.float32) * 0.05,
}


def added(make, tmp_path, tensors):
    """The change of the one weight that a LoRA of these tensors makes."""
    base = make("base", "F32")
    save_file(tensors, tmp_path / "lora.safetensors")
    out = apply(base, tmp_path / "lora.safetensors", tmp_path / "out", fuzz=True).path
    return numbers(out)[KEY] - numbers(base)[KEY]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64])
def test_any_single_value_is_a_scale(make, tmp_path, shape, kind):
    change = added(make, tmp_path, FACTORS | {ALPHA: np.full(shape, 6, kind)})
    np.testing.assert_allclose(change, 3 * FACTORS[UP] @ FACTORS[DOWN], atol=1e-6)


def test_a_file_without_any_tensor_is_no_edit(make, tmp_path):
    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(BadCheckpoint, match=r"none\.safetensors holds no change"):
        apply(make("base"), tmp_path / "none.safetensors", tmp_path / "out", fuzz=True)
    assert not (tmp_path / "out").exists()


def test_an_alpha_beside_a_difference_scales_nothing(make, tmp_path):
    change = low_rank(SHAPES[KEY], 4)
    found = added(make, tmp_path, {DIFF: change, ALPHA: np.array(7, np.float32)})
    np.testing.assert_allclose(found, change, atol=1e-6)


ODD = [
    ({DIFF: np.zeros((OUT, IN), np.float32)}, "both lora and diff: it must be one of them"),
    ({ALPHA: np.ones(2, np.float32)}, r"alpha \[2\]: it must be a single number"),
    ({ALPHA: np.ones(0, np.float32)}, r"alpha \[0\]"),
    ({ALPHA: np.array(True)}, "a part of BOOL"),
    ({UP: np.ones((OUT, 2), np.int32)}, "a part of I32"),
    ({UP: np.ones((OUT, 3), np.float32)}, "do not go together as a lora"),
    ({UP: np.ones((OUT, 0), np.float32), DOWN: np.ones((0, IN), np.float32)}, "do not go together"),
    ({UP: np.ones((OUT - 1, 2), np.float32)}, r"is \[127, 256\], not \[128, 256\] as"),
    ({f"{MODULE}.lora_mid.weight": np.ones((3, 2), np.float32)}, "do not go together as a lora"),
    ({f"{MODULE}.dora_scale": np.ones((2, 2), np.float32)}, "neither of its rows nor of its col"),
    ({f"{MODULE}.lora_magnitude_vector": np.ones(2, np.float32)}, "neither of its rows"),
    (
        {
            f"{MODULE}.dora_scale": np.ones((OUT, 1), np.float32),
            f"{MODULE}.lora_magnitude_vector": np.ones(OUT, np.float32),
        },
        "of no kind known here",
    ),
    ({f"{MODULE}.lora_B.weight": np.ones((OUT, 2), np.float32)}, "has the same part of .* twice"),
    ({f"{MODULE}.oft_blocks": np.ones((2, 2), np.float32)}, "oft_blocks is of no kind known here"),
    ({f"{MODULE}.lora_B.bias": np.ones(OUT, np.float32)}, r"lora_B.bias is of no kind known here"),
    ({f"{MODULE}.hada_w1_a": np.ones((2, 2), np.float32)}, "both lora and loha"),
    ({"lora_unet_nothing.alpha": np.array(1, np.float32)}, "have no weight there"),
]


@pytest.mark.parametrize("odd, message", ODD)
def test_a_part_that_is_odd_is_refused_when_the_file_is_opened(make, tmp_path, odd, message):
    save_file(FACTORS | odd, tmp_path / "lora.safetensors")
    with (
        Checkpoint(make("base")) as base,
        Checkpoint(tmp_path / "lora.safetensors") as lora,
        pytest.raises(CkptError, match=message),
    ):
        plan(base, lora, fuzz=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_scale_that_is_not_finite_is_refused(make, tmp_path, value):
    with pytest.raises(BadCheckpoint, match="holds NaN or Inf"):
        added(make, tmp_path, FACTORS | {ALPHA: np.array(value, np.float32)})


ENDS = st.sampled_from([*PARTS, ".x"])
MODULES = st.sampled_from(
    [MODULE, "lora_unet_conv_in", "lora_te_x", KEY.removesuffix(".weight"), ""]
)
NAMES = st.builds(str.__add__, MODULES, ENDS)
REPLACES = {"set", "dora_scale", "magnitude_vector"}  # parts
DTYPES = st.sampled_from(["F32", "F16", "I64", "BOOL", "F8_E8M0", "U8", "C64"])
SIZES = st.sampled_from([(), (1,), (0,), (OUT, 2), (2, IN), (OUT, IN), (OUT, 2, 1, 1), (48,)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(NAMES, st.tuples(DTYPES, SIZES), max_size=5))
def test_whatever_a_lora_holds_it_is_applied_or_refused(make, tmp_path, tensors):
    specs = [Spec(name, dtype, shape) for name, (dtype, shape) in tensors.items()]
    data = pack_header(specs, {}) + bytes(sum(spec.nbytes for spec in specs))
    (tmp_path / "lora.safetensors").write_bytes(data)
    base = make("base")
    try:
        done = apply(base, tmp_path / "lora.safetensors", tmp_path / "out", fuzz=True, force=True)
    except CkptError as error:
        assert "\n" not in str(error)
    else:  # all of it is zero; what does not add to a weight makes it zero
        expected = stored(base)
        if any((part_of(name) or ("", ""))[1] in REPLACES for name in tensors):
            expected[KEY] = bytes(len(expected[KEY]))
        assert stored(done.path) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["key", "form", "dtype", "shape", "base", "result", "off", "back", "undone"]
)
SPOILED = [
    "1e999", "[" * 5000, "9" * 5000, '{"a":1e999}', '{"a":' * 300 + "1" + "}" * 300, "null", "",
    '{"a":{"key":"k","form":"lora","dtype":"F16","shape":[1e999]}}', '{"a":NaN}', '{"\\ud800":1}',
    '{"a":{"key":"k","form":[],"dtype":"F16","shape":[1],"base":"","result":"","off":[1e308,1]}}',
]  # fmt: skip


@pytest.fixture(scope="module")
def delta(tmp_path_factory):
    """A delta, and the base that it is of."""
    folder = tmp_path_factory.mktemp("delta")
    data = np.zeros(SHAPES[KEY], np.float32)
    write(folder / "base", [Spec(KEY, "F32", SHAPES[KEY])], [data], {})
    return folder / "base", write_delta(folder / "base", {KEY: data + 1}, folder / "d").path


def refused_or_done(delta, tmp_path, key, text):
    base, path = delta
    with Checkpoint(path) as file:
        write_edited(tmp_path / "bad", file, {}, metadata=dict(file.metadata) | {key: text},
                     force=True)  # fmt: skip
    try:
        apply(base, tmp_path / "bad", tmp_path / "out", force=True)
    except CkptError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000


@pytest.mark.parametrize("text", SPOILED)
@pytest.mark.parametrize(
    "key", ["ckptedit.tensors", "ckptedit.base", "ckptedit.result", "ckptedit.ledger",
            "ckptedit.export"]
)  # fmt: skip
def test_metadata_from_strangers_is_refused_in_one_line(delta, tmp_path, key, text):
    refused_or_done(delta, tmp_path, key, text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(FIELDS, JSON))
def test_whatever_an_entry_says_it_is_used_or_refused(delta, tmp_path, fields):
    with Checkpoint(delta[1]) as file:
        tensors = json.loads(file.metadata["ckptedit.tensors"])
    tensors[KEY] |= fields
    refused_or_done(delta, tmp_path, "ckptedit.tensors", json.dumps(tensors))


@pytest.mark.parametrize("method", METHODS)
def test_a_lora_or_delta_as_the_base_is_refused_by_every_method(make, tmp_path, method, delta):
    save_file(FACTORS, tmp_path / "lora.safetensors")
    peft = {f"{KEY}.lora_A.weight": FACTORS[DOWN], f"{KEY}.lora_B.weight": FACTORS[UP]}
    save_file(peft, tmp_path / "peft.safetensors")
    for base in (tmp_path / "lora.safetensors", tmp_path / "peft.safetensors", delta[1]):
        with pytest.raises(Incompatible, match="is a delta or LoRA, and BASE must be a checkpoint"):
            merge(base, [base, base], tmp_path / "out.safetensors", method=method)
        with pytest.raises(Incompatible, match="is a delta or LoRA, and BASE must be a checkpoint"):
            apply(base, delta[1], tmp_path / "out.safetensors")


def test_an_edit_in_memory_is_applied_and_merged_without_a_file(make, tmp_path):
    base, change = make("base"), low_rank(SHAPES[KEY], 4)
    delta = write_delta(base, {KEY: change}, tmp_path / "d", tolerance=1e-6)
    written = apply(base, delta.path, tmp_path / "a")
    held = apply(base, {KEY: change}, tmp_path / "b")
    assert held.application.fit.exact and not held.notes
    for name, values in numbers(held.path).items():
        np.testing.assert_allclose(values, numbers(written.path)[name], atol=2e-4)
    merged = merge(base, [{KEY: change}], tmp_path / "c", method="task")
    assert stored(merged.path) == stored(held.path) and merged.edits[0]["tensors"] == 1
    with pytest.raises(Incompatible, match=r"which .* lacks"):
        merge(base, [{"nothing": change}], tmp_path / "x")
    with pytest.raises(Incompatible, match="its change is"):
        apply(base, {KEY: change[:1]}, tmp_path / "x")


def test_averaged_copies_that_keep_the_old_weights_are_noted(make, tmp_path):
    """Not those that change as well: `erase --delta` of a file with copies has both."""
    values = np.ones(SHAPES[KEY], np.float32)
    with_copies, without = make("ema", replace={average_name(KEY): values}), make("bare")
    other = make("other", replace={"model_ema.x": values})
    live = {KEY: low_rank(SHAPES[KEY], 4)}
    both = {**live, average_name(KEY): live[KEY]}
    cases = ((with_copies, live, 1), (with_copies, both, 0), (other, live, 0), (without, live, 0))
    for base, change, count in cases:
        notes = apply(base, change, tmp_path / "a", force=True).notes
        assert len([note for note in notes if "averaged copies" in note]) == count
        notes = merge(base, [change], tmp_path / "b", method="task", force=True).notes
        assert len([note for note in notes if "averaged copies" in note]) == count


def test_a_checkpoint_with_a_module_called_diff_is_one(tmp_path):
    save_file({"a.diff.weight": np.ones(2, np.float32)}, tmp_path / "x.safetensors")
    with Checkpoint(tmp_path / "x.safetensors") as checkpoint:
        require_whole(checkpoint)
