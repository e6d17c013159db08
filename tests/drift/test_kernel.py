"""The compiled kernel: every value it can meet, one by one, and the numpy way as its peer."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ckptedit.drift import kernel, norms
from ckptedit.files import Checkpoint, Spec, decode, write
from ckptedit.files.header import BITS

DTYPES = ["F16", "BF16", "F32", "I64"]

built = pytest.mark.skipif(not kernel.DTYPES, reason="the kernel was not compiled")


def measured(folder: Path, dtype: str, old: np.ndarray, new: np.ndarray):
    """What the kernel says of the bytes of a tensor, before and after."""
    paths = [folder / "old.safetensors", folder / "new.safetensors"]
    for path, raw in zip(paths, (old, new), strict=True):
        shape = (len(raw) * 8 // BITS[dtype],)
        write(path, [Spec("w", dtype, shape)], [raw], {}, force=True)
    with Checkpoint(paths[0]) as before, Checkpoint(paths[1]) as after:
        return kernel.measured(before, after, "w")


@built
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 31, 4096, 100_003])
def test_every_width_of_vectors_gives_the_same_sums_to_the_bit(tmp_path, dtype, count):
    """Those that this processor has: a result must not depend on where it was computed."""
    from ckptedit.drift._kernel import measure

    rng = np.random.default_rng(count)
    kind = {"F16": np.float16, "BF16": np.float32, "F32": np.float32, "I64": np.int64}[dtype]
    sizes = 2.0 ** rng.integers(-20, 7, (2, count))  # so wide that the order of a sum shows
    old, step = (rng.normal(0, 100, (2, count)) * sizes).astype(kind)
    new = np.where(rng.random(count) < 0.5, old, (old + step).astype(kind))
    new[count // 4 : count // 2] = old[count // 4 : count // 2]  # whole blocks that are the same
    raws = [array.view(np.uint16)[1::2] if dtype == "BF16" else array for array in (old, new)]
    for name, raw in zip(("old", "new"), raws, strict=True):
        (tmp_path / name).write_bytes(raw.tobytes())
    with (tmp_path / "old").open("rb") as before, (tmp_path / "new").open("rb") as after:
        places = (before.fileno(), 0), (after.fileno(), 0)
        found = {}
        for lanes in (16, 8, 4):
            try:
                found[lanes] = measure(*places, raws[0].nbytes, dtype, lanes)
            except ValueError:
                assert lanes > 4  # every processor has those
        assert set(found.values()) == {measure(*places, raws[0].nbytes, dtype)}
        assert None not in found.values()
        with pytest.raises(ValueError, match="no vectors of 5 lanes"):
            measure(*places, raws[0].nbytes, dtype, 5)


@built
@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_value_of_sixteen_bits_is_decoded_exactly(tmp_path, dtype):
    """Each alone in a file of zeros, by the one number that one value makes."""
    from ckptedit.drift._kernel import measure

    bits = np.arange(1 << 16, dtype=np.uint16)
    (tmp_path / "bits").write_bytes(bits.tobytes() + bytes(2))
    with np.errstate(all="ignore"):
        values = decode(bits.view(np.uint8), dtype).astype(np.float64)
    with (tmp_path / "bits").open("rb") as file:
        for i, value in enumerate(values.tolist()):
            sums = measure((file.fileno(), 2 * len(bits)), (file.fileno(), 2 * i), 2, dtype)
            size, square = abs(value), value**2
            wanted = (int(i > 0), size, size, square, 0.0, square, 0.0)
            assert sums == (wanted if np.isfinite(value) else None), hex(i)


@built
@pytest.mark.parametrize("dtype", DTYPES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bits_of_any_length_measure_as_in_numpy(tmp_path, dtype, data):
    """Lengths that fill no whole vector, values of any size."""
    width = BITS[dtype] // 8
    size = data.draw(st.integers(1, 70))
    raw = data.draw(arrays(np.uint8, (2, size * width)))
    values = np.zeros((3, 1, norms.ROW))
    with np.errstate(all="ignore"):
        for row, stored in zip(values, raw, strict=False):
            row[0, :size] = decode(stored, dtype)
    found = measured(tmp_path, dtype, *raw)
    if not np.isfinite(values).all():
        assert found is None
        return
    changed = int((raw[0].view(f"u{width}") != raw[1].view(f"u{width}")).sum())
    wanted = asdict(norms.moved(values, size, changed))
    scale = wanted["old2"] + wanted["new2"]  # what a scalar product is exact to
    slack = 1e-6 if dtype == "F16" else 1e-12
    assert asdict(found) == pytest.approx(wanted, rel=slack, abs=slack * scale)


@built
def test_a_file_that_ends_too_early_is_an_error(tmp_path):
    from ckptedit.drift._kernel import measure

    (tmp_path / "short").write_bytes(bytes(100))
    with (tmp_path / "short").open("rb") as file:
        place = file.fileno(), 0
        with pytest.raises(EOFError):
            measure(place, place, 102, "F16")
        with pytest.raises(ValueError, match="F64"):
            measure(place, place, 8, "F64")
    with pytest.raises(OSError):
        measure(place, place, 100, "F16")
