"""Comparing files: the figures against float64, hand-worked numbers, and odd tensors."""

import math

import numpy as np
import pytest
import torch
from both_ways import both_ways
from safetensors.torch import save_file
from torch import Tensor

import ckptedit
from ckptedit.drift import Figures, kernel
from ckptedit.errors import BadCheckpoint, BadParam, UnknownName
from ckptedit.files import Checkpoint

FLOATS = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]


way = both_ways(kernel, "DTYPES")  # of measuring a tensor


def oracle(old: Tensor, new: Tensor) -> Figures:
    """All figures in float64 at once."""
    a, b = old.double().flatten(), new.double().flatten()
    delta = b - a
    return Figures(
        l1=delta.abs().sum().item(),
        l2=delta.norm().item(),
        linf=delta.abs().max().item(),
        relative=(delta.norm() / a.norm()).item(),
        cosine=(a @ b / (a.norm() * b.norm())).item(),
        changed_fraction=(a != b).double().mean().item(),
    )


def assert_equal(found: Figures, expected: Figures) -> None:
    for measure in Figures.__dataclass_fields__:
        slack = 1e-6 if measure == "cosine" else 0  # one near 0 is a difference of large numbers
        wanted = pytest.approx(getattr(expected, measure), rel=1e-6, abs=slack)
        assert getattr(found, measure) == wanted, measure


def random(shape, scale, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [1, 7, 4096, 4097, 300_001])
def test_figures_agree_with_float64_for_every_float_dtype_and_size(diff_of, dtype, size):
    old = (random(size, 0.5, 1) + 0.01).to(dtype)
    new = (old.float() + random(size, 0.2, 2) + 0.3).to(dtype)
    report = diff_of({"w": old}, {"w": new})
    assert_equal(report.tensors[0].figures, oracle(old, new))
    assert_equal(report.total.figures, oracle(old, new))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_figures_of_integers_agree_with_float64(diff_of, dtype):
    old = torch.arange(5000).to(dtype)
    new = (torch.arange(5000) * 3 % 101).to(dtype)
    assert_equal(diff_of({"w": old}, {"w": new}).tensors[0].figures, oracle(old, new))


def test_bools_count_as_zero_and_one(diff_of):
    old, new = torch.tensor([True, False, True, True]), torch.tensor([True, True, True, False])
    figures = diff_of({"w": old}, {"w": new}).tensors[0].figures
    assert (figures.l1, figures.l2) == (2.0, math.sqrt(2))
    assert figures.changed_fraction == 0.5


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e-22, 1e-13, 1e15, 1e25, 1e37])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_squares_that_leave_float32_are_still_exact(diff_of, dtype, scale):
    old, new = (
        (random(70_000, 0.5, 1) * scale).to(dtype),
        (random(70_000, 0.5, 2) * scale).to(dtype),
    )
    assert_equal(diff_of({"w": old}, {"w": new}).tensors[0].figures, oracle(old, new))


def test_a_tiny_change_of_large_weights_is_exact(diff_of):
    old = random(200_000, 1.0, 1)
    new = old.clone()
    new[::1000] = torch.nextafter(old[::1000], torch.tensor(torch.inf))
    figures = diff_of({"w": old}, {"w": new}).tensors[0].figures
    assert figures.l2 == pytest.approx(oracle(old, new).l2, rel=1e-6)
    assert figures.changed_fraction == 0.001


def test_norms_of_very_different_size_keep_their_cosine(diff_of):
    old, new = random(10_000, 1e-4, 1), random(10_000, 10.0, 2)
    new += old * 1e4
    assert_equal(diff_of({"w": old}, {"w": new}).tensors[0].figures, oracle(old, new))


def test_totals_are_those_of_all_tensors_in_one_vector(diff_of):
    old = {f"t{i}": random(1000 * (i + 1), 1.0, i) for i in range(5)}
    new = dict(old, t1=old["t1"] + 0.1, t4=old["t4"] * 1.5)
    report = diff_of(old, new)
    assert_equal(
        report.total.figures,
        oracle(torch.cat([*old.values()]), torch.cat([new[name] for name in old])),
    )
    assert [tensor.name for tensor in report.changed] == ["t1", "t4"]


def test_figures_worked_by_hand(diff_of):
    report = diff_of({"w": torch.tensor([3.0, 4.0, 0.0])}, {"w": torch.tensor([0.0, 8.0, 0.0])})
    figures = report.tensors[0].figures
    assert figures.l1 == 7.0
    assert figures.l2 == 5.0
    assert figures.linf == 4.0
    assert figures.relative == 1.0
    assert figures.cosine == pytest.approx(32 / (5 * 8))
    assert figures.changed_fraction == pytest.approx(2 / 3)


def test_blocks_and_roles_add_up(diff_of):
    k = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    v = k.replace("to_k", "to_v")
    old = {k: torch.zeros(2, 2), v: torch.zeros(2, 2), "other": torch.ones(3)}
    new = {k: torch.full((2, 2), 1.5), v: torch.full((2, 2), 2.0), "other": torch.ones(3)}
    report = diff_of(old, new)
    blocks = {group.key: group.figures.l2 for group in report.grouped(lambda t: (t.block,))}
    roles = {group.key: group.figures.l2 for group in report.grouped(lambda t: (t.role,))}
    assert blocks["IN04",] == 5.0
    assert (roles["k",], roles["v",]) == (3.0, 4.0)


def test_equal_files_are_the_same(diff_of):
    tensors = {"a": random(5000, 1, 1), "b": torch.arange(7), "empty": torch.zeros(0, 4)}
    report = diff_of(tensors, tensors)
    assert report.same
    assert report.total.figures == Figures(0.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_a_change_of_the_last_byte_of_a_long_tensor_is_found(diff_of):
    old = random(1_000_003, 1, 1).half()
    new = old.clone()
    new[-1] += 0.5
    assert diff_of({"w": old}, {"w": new}).tensors[0].sums.changed == 1


def test_minus_zero_is_a_change_of_bits_that_moves_nothing(diff_of):
    report = diff_of({"w": torch.tensor([0.0, 1.0])}, {"w": torch.tensor([-0.0, 1.0])})
    assert not report.same
    assert report.tensors[0].figures == Figures(0.0, 0.0, 0.0, 0.0, 1.0, 0.5)


def test_weights_that_grow_from_zero_moved_infinitely_far(diff_of):
    figures = diff_of({"w": torch.zeros(4)}, {"w": torch.ones(4)}).tensors[0].figures
    assert (figures.l2, figures.relative, figures.cosine) == (2.0, math.inf, 0.0)


def test_added_removed_and_reshaped_tensors_are_told_apart(diff_of):
    old = {"gone": torch.ones(1), "kept": torch.ones(1), "bent": torch.ones(2, 3)}
    new = {"come": torch.ones(1), "kept": torch.ones(1), "bent": torch.ones(3, 2)}
    report = diff_of(old, new)
    assert (report.added, report.removed) == (["come"], ["gone"])
    assert [(x.name, x.old_shape, x.new_shape) for x in report.reshaped] == [
        ("bent", (2, 3), (3, 2))
    ]
    assert [tensor.name for tensor in report.tensors] == ["kept"]
    assert not report.same


def test_a_change_of_dtype_alone_is_retyped_and_not_the_same(diff_of):
    old = random(9000, 1, 1).half()
    report = diff_of({"w": old}, {"w": old.float()})
    assert [tensor.name for tensor in report.retyped] == ["w"]
    assert not report.same
    assert report.tensors[0].figures.l2 == 0.0
    assert report.tensors[0].sums.changed == 0


def test_values_are_compared_across_dtypes(diff_of):
    old, new = random(9000, 1, 1).bfloat16(), random(9000, 1, 2).half()
    assert_equal(diff_of({"w": old}, {"w": new}).tensors[0].figures, oracle(old, new))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", FLOATS[:4])
def test_what_is_not_finite_is_never_the_same(diff_of, dtype, bad):
    w = torch.ones(5000, dtype=dtype)
    w[4321] = bad
    report = diff_of({"w": w, "x": torch.ones(3)}, {"w": w, "x": torch.ones(3)})
    assert not report.changed
    assert [tensor.name for tensor in report.nonfinite] == ["w"]
    sums = report.nonfinite[0].sums
    assert (sums.old_nonfinite, sums.new_nonfinite) == (1, 1)
    assert not report.same


def test_figures_of_tensors_that_are_not_finite_are_nan(diff_of):
    old, new = torch.ones(10), torch.ones(10)
    new[3], new[5] = math.nan, math.inf
    report = diff_of({"w": old, "x": torch.ones(2)}, {"w": new, "x": torch.zeros(2)})
    for figures in (report.tensors[0].figures, report.total.figures):
        assert all(math.isnan(x) for x in (figures.l1, figures.l2, figures.linf, figures.cosine))
        assert math.isnan(figures.relative)
    assert report.tensors[0].sums.new_nonfinite == 2
    assert report.movers()[0].name == "w"


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_nan_in_eight_bits_is_found(diff_of, dtype):
    w = torch.tensor([1.0, math.nan]).to(dtype)
    assert not diff_of({"w": w}, {"w": w}).same


def test_any_number_of_threads_gives_the_same_figures(diff_of):
    old = {f"t{i}": random(50_000 * i + 1, 1.0, i).half() for i in range(8)}
    new = {name: (t.float() + 0.01 * random(t.shape, 1.0, 9)).half() for name, t in old.items()}
    reports = [diff_of(old, new, threads=threads).as_dict() for threads in (1, 2, 5)]
    assert reports[0] == reports[1] == reports[2]


def test_patterns_choose_what_is_compared(diff_of):
    old = {"a.w": torch.zeros(1), "b.w": torch.zeros(1), "b.x": torch.zeros(1)}
    new = {"a.w": torch.ones(1), "b.w": torch.ones(1), "c.w": torch.ones(1)}
    report = diff_of(old, new, keys=["*.w", "!a.*"])
    assert [tensor.name for tensor in report.tensors] == ["b.w"]
    assert (report.added, report.removed) == (["c.w"], [])
    with pytest.raises(UnknownName, match=r"'d.\*' fits none"):
        diff_of(old, new, keys=["d.*"])


def test_less_than_one_thread_is_refused(diff_of):
    with pytest.raises(BadParam, match="threads is 0"):
        diff_of({"w": torch.ones(1)}, {"w": torch.ones(1)}, threads=0)


def test_a_dtype_without_arithmetic_is_compared_by_its_bytes(tmp_path):
    import json

    from ckptedit.drift import compare

    def write(name: str, data: bytes):
        header = {"w": {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]}}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path = tmp_path / name
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        return Checkpoint(path)

    old, same, other = write("a", b"abcd"), write("b", b"abcd"), write("c", b"abce")
    assert compare(old, same).same
    report = compare(old, other)
    assert [tensor.name for tensor in report.changed] == ["w"]
    assert math.isnan(report.tensors[0].figures.l2)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(save):
    from ckptedit.drift import compare

    paths = [save(name, {"w": torch.ones(100_000)}) for name in ("old", "new")]
    with Checkpoint(paths[0]) as old, Checkpoint(paths[1]) as new:
        with paths[1].open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(BadCheckpoint):
            compare(old, new)


def test_comparing_needs_no_torch(save):
    import subprocess
    import sys

    old, new = save("old", {"w": torch.zeros(9)}), save("new", {"w": torch.ones(9)})
    code = (
        "import sys; from ckptedit.files import Checkpoint; from ckptedit.drift import compare\n"
        f"assert compare(Checkpoint({str(old)!r}), Checkpoint({str(new)!r})).changed\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sums_of_a_long_tensor_do_not_lose_digits(diff_of):
    old = torch.zeros(3_000_000, dtype=torch.bfloat16)
    new = torch.full_like(old, 0.1)
    value = float(new[0])
    figures = diff_of({"w": old}, {"w": new}).tensors[0].figures
    assert figures.l1 == pytest.approx(value * 3_000_000, rel=1e-7)
    assert figures.l2 == pytest.approx(value * np.sqrt(3_000_000), rel=1e-7)


@pytest.mark.parametrize("turned", [False, True])
def test_packed_matrices_are_compared_one_by_one_with_those_of_a_folder(tmp_path, turned):
    """OpenCLIP's q, k and v are one tensor in a single file of SD2, and three in a folder."""
    q, k, v, rest = (random((8, 8), 1.0, seed) for seed in range(4))
    spot, marker = "transformer_blocks.0.attn2.to_k.weight", torch.zeros(320, 1024)
    text = "cond_stage_model.model.transformer.resblocks.3.attn"
    single = {
        f"model.diffusion_model.input_blocks.1.1.{spot}": marker,
        f"{text}.in_proj_weight": torch.cat([q, k, v]),
        f"{text}.out_proj.weight": rest,
    }
    start = "text_model.encoder.layers.3.self_attn"
    parts = {
        "unet/diffusion_pytorch_model": {f"down_blocks.0.attentions.0.{spot}": marker},
        "text_encoder/model": {
            f"{start}.{name}_proj.weight": matrix
            for name, matrix in zip(("q", "k", "v", "out"), (q, k + 1, v, rest), strict=True)
        },
    }
    save_file(single, tmp_path / "one.safetensors")
    for path, tensors in parts.items():
        (tmp_path / "parts" / path).parent.mkdir(parents=True)
        save_file(tensors, tmp_path / "parts" / f"{path}.safetensors")
    sides = [tmp_path / "one.safetensors", tmp_path / "parts"]
    found = ckptedit.diff(*sides[:: -1 if turned else 1]).comparison
    assert (len(found.tensors), found.translated, found.added, found.removed) == (5, 5, [], [])
    (changed,) = found.changed
    assert changed.name.endswith("k_proj.weight") and changed.figures.linf == pytest.approx(1)
