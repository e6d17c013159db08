"""Every kind of change, worked by hand: small numbers that a reader can follow."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from ckptedit.errors import BadCheckpoint, DoesNotFit
from ckptedit.merging import merge
from deltas.kinds.conftest import SHAPES, draw, weights


def padded(matrix, rows=12, columns=8):
    """A small matrix in the corner of zeros."""
    out = np.zeros((rows, columns))
    out[: len(matrix), : len(matrix[0])] = matrix
    return out


def test_a_lora_is_alpha_over_rank_times_up_down(changed):
    up, down = padded([[1, 2], [3, 4]], 12, 2), padded([[5, 6], [7, 8]], 2, 8)
    for key_up, key_down in (("lora_up", "lora_down"), ("lora_B", "lora_A")):
        file = {f"linear.{key_up}.weight": up, f"linear.{key_down}.weight": down}
        product = [[19, 22], [43, 50]]  # 1·5 + 2·7, 1·6 + 2·8; 3·5 + 4·7, 3·6 + 4·8
        np.testing.assert_allclose(changed(file)["linear.weight"], padded(product), atol=1e-9)
        scaled = changed(file | {"linear.alpha": np.array(1.0)})["linear.weight"]
        np.testing.assert_allclose(scaled, padded(product) / 2, atol=1e-9)


def test_the_core_of_a_locon_stands_between_its_factors(changed):
    """up [6, 1] = 2 in row 0, down [1, 4] = 3 in column 1, mid [1, 1, 3, 3] = 0..8: 6 · 0..8."""
    up, down = padded([[2.0]], 6, 1), padded([[0.0, 3.0]], 1, 4)
    file = {"conv.lora_up.weight": up.reshape(6, 1, 1, 1),
            "conv.lora_down.weight": down.reshape(1, 4, 1, 1),
            "conv.lora_mid.weight": np.arange(9.0).reshape(1, 1, 3, 3)}  # fmt: skip
    found = changed(file | {"conv.alpha": np.array(0.5)})["conv.weight"]
    expected = np.zeros(SHAPES["conv"])
    expected[0, 1] = 3 * np.arange(9.0).reshape(3, 3)  # alpha / r = 0.5
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_loha_multiplies_two_products_entry_by_entry(changed):
    """[[1], [2]] @ [[3, 4]] = [[3, 4], [6, 8]]; [[5], [6]] @ [[7, 1]] = [[35, 5], [42, 6]]."""
    file = {
        "linear.hada_w1_a": padded([[1.0], [2.0]], 12, 1), "linear.hada_w1_b": padded([[3, 4]], 1),
        "linear.hada_w2_a": padded([[5.0], [6.0]], 12, 1), "linear.hada_w2_b": padded([[7, 1]], 1),
        "linear.alpha": np.array(2.0),
    }  # fmt: skip
    expected = padded([[210, 40], [504, 96]])  # 2 · 3 · 35, 2 · 4 · 5; 2 · 6 · 42, 2 · 8 · 6
    np.testing.assert_allclose(changed(file)["linear.weight"], expected, atol=1e-9)


def test_a_loha_with_cores_has_one_for_each_product(changed):
    """Rank 1: 2 · t1 · 3 in one half and 5 · t2 · 1 in the other: 30 · t1 · t2 at [0, 1]."""
    t1, t2 = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 3, 3)) * 4
    file = {
        "conv.hada_w1_a": padded([[2.0]], 1, 6), "conv.hada_w1_b": padded([[0, 3.0]], 1, 4),
        "conv.hada_w2_a": padded([[5.0]], 1, 6), "conv.hada_w2_b": padded([[0, 1.0]], 1, 4),
        "conv.hada_t1": t1, "conv.hada_t2": t2,
    }  # fmt: skip
    expected = np.zeros(SHAPES["conv"])
    expected[0, 1] = 120 * np.arange(9.0).reshape(3, 3)
    np.testing.assert_allclose(changed(file)["conv.weight"], expected, atol=1e-9)


def test_a_lokr_puts_the_large_factor_into_every_entry_of_the_small_one(changed):
    small, large = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 0], [0, 1]])
    found = changed({"square.lokr_w1": small, "square.lokr_w2": large})["square.weight"]
    expected = [[1, 0, 2, 0], [0, 1, 0, 2], [3, 0, 4, 0], [0, 3, 0, 4]]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    alone = {"square.lokr_w1": small, "square.lokr_w2": large, "square.alpha": np.array(9.0)}
    np.testing.assert_allclose(changed(alone)["square.weight"], expected, atol=1e-9)


def test_the_scale_of_a_lokr_is_that_of_the_factor_with_a_rank_and_counts_once(changed):
    """w2 = [[1], [2]] @ [[1, 1]] = [[1, 1], [2, 2]], rank 1, alpha 3; w1 = [[1, 0], [0, 1]]."""
    file = {"square.lokr_w1": np.eye(2), "square.lokr_w2_a": np.array([[1.0], [2]]),
            "square.lokr_w2_b": np.array([[1.0, 1]]), "square.alpha": np.array(3.0)}  # fmt: skip
    expected = [[3, 3, 0, 0], [6, 6, 0, 0], [0, 0, 3, 3], [0, 0, 6, 6]]
    np.testing.assert_allclose(changed(file)["square.weight"], expected, atol=1e-9)


def test_a_dora_gives_rows_or_columns_of_the_changed_weight_their_magnitude(changed):
    """The change makes the weight ones everywhere: rows have norm 2, columns too, then m."""
    weight, magnitude = weights()["square.weight"], np.array([2.0, 4, 6, 8])
    file = {"square.lora_up.weight": np.ones((4, 4)) - weight, "square.lora_down.weight": np.eye(4)}
    rows = changed(file | {"square.dora_scale": magnitude[:, None]})["square.weight"]
    np.testing.assert_allclose(weight + rows, [[1] * 4, [2] * 4, [3] * 4, [4] * 4], atol=1e-9)
    peft = changed(file | {"square.lora_magnitude_vector": magnitude})["square.weight"]
    np.testing.assert_allclose(peft, rows)
    columns = changed(file | {"square.dora_scale": magnitude[None]})["square.weight"]
    np.testing.assert_allclose(weight + columns, [[1, 2, 3, 4]] * 4, atol=1e-9)
    half = changed(file | {"square.dora_scale": magnitude[None]}, strength=0.5)["square.weight"]
    np.testing.assert_allclose(half, columns / 2, atol=1e-9)


def test_the_magnitude_of_a_convolution_is_of_its_whole_window(changed):
    """[4, 4, 3, 3] of ones: each output, and each input, has 36 entries, and norm 6."""
    weight = weights()["even.weight"]
    file = {"even.lokr_w1": np.ones((1, 1)), "even.lokr_w2": 1 - weight}
    magnitude = np.array([6.0, 12, 18, 24]).reshape(4, 1, 1, 1)
    rows = weight + changed(file | {"even.dora_scale": magnitude})["even.weight"]
    np.testing.assert_allclose(rows[:, 0, 0, 0], [1, 2, 3, 4])
    columns = weight + changed(file | {"even.dora_scale": magnitude.swapaxes(0, 1)})["even.weight"]
    np.testing.assert_allclose(columns[0, :, 0, 0], [1, 2, 3, 4])
    # PEFT's [1, out, 1, 1] is of rows, though it looks like one of columns
    peft = {"even.lora_magnitude_vector": magnitude.swapaxes(0, 1)}
    lora = {"even.lora_A.weight": (1 - weight).reshape(4, 36), "even.lora_B.weight": np.eye(4)}
    np.testing.assert_allclose(weight + changed(lora | peft)["even.weight"], rows)


def test_a_row_that_is_zero_stays_zero_whatever_its_magnitude(changed):
    weight = weights()["square.weight"]
    file = {"square.lora_up.weight": -weight, "square.lora_down.weight": np.eye(4),
            "square.dora_scale": np.ones((4, 1))}  # fmt: skip
    np.testing.assert_allclose(changed(file)["square.weight"], -weight)


def test_differences_are_added_to_weights_biases_and_norms(changed):
    file = {"linear.diff": draw(12, 8), "linear.diff_b": draw(12), "norm.w_norm": draw(5),
            "linear.alpha": np.array(3.0)}  # fmt: skip
    found = changed(file)
    assert found.keys() == {"linear.weight", "linear.bias", "norm.weight"}
    for name, key in (("linear.weight", "linear.diff"), ("linear.bias", "linear.diff_b"),
                      ("norm.weight", "norm.w_norm")):  # fmt: skip
        np.testing.assert_allclose(found[name], file[key], atol=1e-12)
    alone = changed({"linear.diff_b": draw(12), "linear.alpha": np.array(3.0)})
    np.testing.assert_allclose(alone["linear.bias"], draw(12), atol=1e-12)


def test_new_values_take_the_place_of_the_old(changed):
    new = draw(12, 8)
    for file in ({"linear.set_weight": new}, {"linear.weight": new}):
        found = changed(file)["linear.weight"]
        np.testing.assert_array_equal(found + 0.0, new - weights()["linear.weight"])
        half = changed(file, strength=0.5)["linear.weight"]
        np.testing.assert_allclose(half, found / 2, atol=1e-12)


@pytest.mark.parametrize("weight, rest", [
    ("point", (4,)), ("point", (4, 1, 1)), ("conv", (36,)), ("linear", (8, 1, 1)),
])  # fmt: skip
def test_factors_may_be_flat_or_of_a_convolution_where_the_weight_is_not(changed, weight, rest):
    up, down = draw(SHAPES[weight][0], 2, *rest[1:]), draw(2, *rest)
    file = {f"{weight}.lora_up.weight": up, f"{weight}.lora_down.weight": down}
    expected = (up.reshape(-1, 2) @ down.reshape(2, -1)).reshape(SHAPES[weight])
    np.testing.assert_allclose(changed(file)[f"{weight}.weight"], expected, atol=1e-12)


HALF = {"hada_w1_a": (6, 2), "hada_w1_b": (2, 36)}
LOHA = HALF | {"hada_w2_a": (6, 2), "hada_w2_b": (2, 36)}
CORES = {"hada_w1_a": (2, 6), "hada_w1_b": (2, 4), "hada_t1": (2, 2, 3, 3),
         "hada_w2_a": (2, 6), "hada_w2_b": (2, 4), "hada_t2": (2, 2, 3, 3)}  # fmt: skip
LOKR = {"lokr_w1": (2, 2), "lokr_w2": (3, 2, 3, 3)}
NOT_TOGETHER = [
    HALF,
    LOHA | {"hada_w2_a": (6, 3), "hada_w2_b": (3, 36)},  # two ranks, and one alpha
    LOHA | {"hada_w2_a": (6, 3)},
    LOHA | {"hada_w2_b": (2, 35)},
    LOHA | {"hada_t1": (2, 2, 3, 3)},
    CORES | {"hada_w1_a": (3, 6)},
    CORES | {"hada_t2": (0, 2, 3, 3)},
    {"lokr_w1": (2, 2)},
    LOKR | {"lokr_w1_a": (2, 1), "lokr_w1_b": (1, 2)},
    {"lokr_w1": (2, 2), "lokr_w2_a": (3, 1)},
    {"lokr_w1": (2, 2), "lokr_w2_a": (3, 1), "lokr_w2_b": (2, 18)},
    LOKR | {"lokr_t2": (1, 1, 3, 3)},
    {"lokr_w1_a": (2, 1), "lokr_w1_b": (1, 2), "lokr_w2_a": (3, 2), "lokr_w2_b": (2, 18)},
    LOKR | {"lokr_w1": (2, 2, 1)},
    {"lora_up.weight": (6, 2, 3, 3), "lora_down.weight": (2, 4)},
    {"lora_up.weight": (6, 2), "lora_down.weight": (2, 4), "lora_mid.weight": (2, 3, 3, 3)},
]


@pytest.mark.parametrize("parts", NOT_TOGETHER)
def test_parts_that_do_not_go_together_are_refused_with_their_shapes(changed, parts):
    file = {f"conv.{part}": draw(*shape) for part, shape in parts.items()}
    with pytest.raises(BadCheckpoint, match=r"has parts that do not go together as a lo\w\w: \."):
        changed(file)


@pytest.mark.parametrize("parts, made", [
    (LOHA | {"hada_w1_b": (2, 27), "hada_w2_b": (2, 27)}, r"\[6, 27\]"),
    (CORES | {"hada_t1": (2, 2, 1, 3), "hada_t2": (2, 2, 1, 3)}, r"\[6, 4, 1, 3\]"),
    (LOKR | {"lokr_w1": (3, 2)}, r"\[9, 4, 3, 3\]"),
    ({"lokr_w1": (2, 2), "lokr_w2": (3, 3, 3, 2)}, r"\[6, 6, 3, 2\]"),
    ({"lora_up.weight": (6, 2), "lora_down.weight": (2, 9, 4)}, r"\[6, 9, 4\]"),
    ({"diff": (6, 36, 1)}, r"\[6, 36, 1\]"),
])  # fmt: skip
def test_a_change_of_another_shape_is_refused_even_if_it_has_as_many_entries(changed, parts, made):
    file = {f"conv.{part}": draw(*shape) for part, shape in parts.items()}
    with pytest.raises(DoesNotFit, match=rf"is {made}, not \[6, 4, 3, 3\] as .* has it"):
        changed(file)


ALL = {
    "linear.lokr_w1": (2, 2), "linear.lokr_w2": (6, 4), "linear.dora_scale": (1, 8),
    **{f"conv.{part}": shape for part, shape in CORES.items()}, "conv.dora_scale": (6, 1, 1, 1),
    "square.lora_A.weight": (2, 4), "square.lora_B.weight": (4, 2), "point.diff": (6, 4, 1, 1),
    "even.set_weight": (4, 4, 3, 3),
}  # fmt: skip


def test_merging_one_file_is_applying_it(changed, tmp_path):
    applied = changed({key: draw(*shape) for key, shape in ALL.items()})
    out = merge(tmp_path / "base.safetensors", tmp_path / "theirs.safetensors",
                tmp_path / "merged.safetensors", method="task", threads=2).path  # fmt: skip
    assert len(applied) == 5
    for name, before in weights().items():
        after = before + applied.get(name, 0)
        np.testing.assert_allclose(load_file(out)[name], after, atol=1e-5, err_msg=name)
