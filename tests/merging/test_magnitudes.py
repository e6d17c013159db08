"""Very large and very small numbers: the figures are right, and errors say what was too large."""

import numpy as np
import pytest

from ckptedit.deltas import write_delta
from ckptedit.errors import BadCheckpoint, BadParam, Overflow
from ckptedit.files import Checkpoint
from ckptedit.merging import METHODS, merge
from ckptedit.merging.arithmetic.products import EXACT, dot
from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.merging.recipe import Recipe
from merging.conftest import numbers, save


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("size", [5, EXACT, 3 * EXACT + 7])
@pytest.mark.parametrize("magnitude", [1e-40, 1e-25, 1e-17, 1, 1e15, 1e25, 1e38])
def test_inner_products_are_right_at_any_magnitude(size, magnitude):
    a = np.clip(random(size), -3, 3) * np.float32(magnitude)
    b = np.clip(random(size, seed=1), -3, 3) + a
    for one, other in [(a, a), (a, b), (b, a)]:
        exact = float(one.astype(np.float64) @ other.astype(np.float64))
        scale = np.linalg.norm(one.astype(np.float64)) * np.linalg.norm(other.astype(np.float64))
        assert dot(one, other) == pytest.approx(exact, rel=1e-5, abs=1e-5 * scale)


def test_inner_products_of_nan_and_inf_are_not_finite():
    assert np.isnan(dot(np.float32([np.nan, 1]), np.float32([1, 1])))
    assert np.isinf(dot(np.float32([np.inf, 1]), np.float32([1, 1])))


@pytest.mark.parametrize("magnitude", [1e-25, 1e25])
@pytest.mark.parametrize("name", ["slerp", "model-stock"])
def test_methods_that_measure_angles_do_so_at_any_magnitude(name, magnitude):
    vectors, start = random(2, 50) + 1, random(50, seed=1)
    factor = np.float32(magnitude)
    ordinary = merge_arrays(METHODS[name], ArrayStack(vectors, start=start))
    extreme = merge_arrays(METHODS[name], ArrayStack(vectors * factor, start=start * factor))
    np.testing.assert_allclose(extreme / factor, ordinary, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("magnitude", [1e-25, 1e25])
def test_the_report_has_the_norms_of_any_magnitude(tmp_path, magnitude):
    start = save(tmp_path / "start.safetensors", {"w": ("F32", np.zeros(2))})
    edit = save(tmp_path / "edit.safetensors", {"w": ("F32", np.array([3, 4]) * magnitude)})
    out = tmp_path / "out.safetensors"
    report = merge(start, [edit], out, method="task")
    assert report.drift["l2"] == pytest.approx(5 * magnitude)
    assert report.edits[0]["l2"] == pytest.approx(5 * magnitude)
    assert report.edits[0]["cosine"] == pytest.approx(1)
    np.testing.assert_array_equal(numbers(out)["w"], numbers(edit)["w"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "settings, said",
    [
        ({"weights": (1e38,)}, "goes beyond float32 with weights=[1e+38], scale=1.0"),
        ({"scale": 1e38}, "goes beyond float32 with weights=[1.0], scale=1e+38"),
        ({"scale": 1e30, "blocks": {"BASE": 1e30}}, "goes beyond float32 with weights=[1.0]"),
    ],
)
def test_what_overflows_float32_is_said_with_its_factors(tmp_path, settings, said):
    start = save(tmp_path / "start.safetensors", {"w": ("F32", np.zeros(2))})
    edit = save(tmp_path / "edit.safetensors", {"w": ("F32", np.array([3e5, 4]))})
    with pytest.raises(Overflow) as caught:
        merge(start, [edit], tmp_path / "o.safetensors", method="task", **settings)
    assert f"tensor w: what would be added {said}" in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_a_parameter_beyond_float32_is_refused_at_once():
    recipe = Recipe("add-difference", params={"alpha": 1e300})
    with pytest.raises(BadParam, match=r"weights=\[1.0, 1.0\], alpha=1e\+300"):
        recipe.try_out(2)


def test_a_delta_onto_a_base_with_nan_names_the_base(tmp_path):
    paths = [
        save(tmp_path / f"{stem}.safetensors", {"w": ("F32", np.array(value))})
        for stem, value in [("start", [0.0, 1]), ("edit", [1.0, 2])]
    ]
    bits = np.array([1, np.nan], np.float32).tobytes()
    sick = save(tmp_path / "sick.safetensors", {"w": ("F32", bits, (2,))})
    with Checkpoint(paths[0]) as before, Checkpoint(paths[1]) as after:
        write_delta(before, after, tmp_path / "delta.safetensors")
    with pytest.raises(BadCheckpoint, match=r"sick\.safetensors: tensor w holds NaN or Inf"):
        target = tmp_path / "o.safetensors"
        merge(sick, [tmp_path / "delta.safetensors"], target, method="task")
