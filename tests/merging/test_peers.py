"""`--ties-compat` against the tools themselves, where they are installed: pip install '.[peers]'.

Whole files go through the other tool's own reader, arithmetic and writer where it has a command for
arbitrary tensors (mergekit); its merge function is called on the same task vectors elsewhere.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ckptedit.files import Checkpoint, Spec, write
from ckptedit.merging import merge
from ckptedit.merging.arrays import ArrayStack, merge_arrays
from ckptedit.merging.methods.ties import ties

SHAPES = {"a": (40, 31), "b": (300,), "c": (1,), "d": (8, 3, 3, 3), "e": (200, 100)}
DENSITIES = (0.1, 0.2, 0.5, 0.9)


def models(dtype, count=3):
    """A base and its fine-tunes: name -> array, a dict each."""
    rng = np.random.default_rng(0)
    kind = {"F16": np.float16, "F32": np.float32}[dtype]
    base = {n: (rng.standard_normal(s) * 0.02).astype(kind) for n, s in SHAPES.items()}
    tuned = [
        {n: (x + rng.standard_normal(x.shape) * 5e-4).astype(kind) for n, x in base.items()}
        for _ in range(count)
    ]
    return [base, *tuned]


@pytest.fixture
def files(tmp_path: Path):
    def save(dtype):
        paths = []
        for i, model in enumerate(models(dtype)):
            specs = [Spec(name, dtype, value.shape) for name, value in model.items()]
            paths.append(tmp_path / f"{i}.safetensors")
            write(paths[-1], specs, model.values(), {}, force=True)
        return paths

    return save


def ours(paths, out, weights, **params):
    merge(paths[0], paths[1:], out, params=params, weights=weights, force=True)
    return Checkpoint(out)


def mergekit(paths, out, dtype, weights, density):
    """mergekit's own command, in float32."""
    lines = [
        f"merge_method: ties\nbase_model: {paths[0]}\ndtype: float32\nout_dtype: {dtype}\nmodels:"
    ]
    for path, weight in zip(paths[1:], weights, strict=True):
        parameters = f"{{weight: {weight}, density: {density}}}"
        lines.append(f"  - model: {path}\n    parameters: {parameters}")
    config = out.with_suffix(".yml")
    config.write_text("\n".join(lines))
    command = "from mergekit.scripts.merge_raw_pytorch import main; main()"
    subprocess.run([sys.executable, "-c", command, str(config), str(out), "--quiet"], check=True)
    return Checkpoint(out / "model.safetensors")


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 0.5, -2)])
def test_as_mergekit_to_the_bit_where_no_magnitudes_are_equal(files, tmp_path, density, weights):
    pytest.importorskip("mergekit")
    paths = files("F32")
    theirs = mergekit(paths, tmp_path / "theirs", "float32", weights, density)
    mine = ours(paths, tmp_path / "o.safetensors", weights, density=density, compat="mergekit")
    for name in SHAPES:
        assert np.array_equal(mine.raw(name), theirs.raw(name)), name


def test_as_mergekit_but_for_which_of_equal_magnitudes_it_keeps(files, tmp_path):
    pytest.importorskip("mergekit")
    paths, density = files("F16"), 0.2
    theirs = mergekit(paths, tmp_path / "theirs", "float16", (1, 1, 1), density)
    mine = ours(paths, tmp_path / "o.safetensors", (1, 1, 1), density=density, compat="mergekit")
    base, *tuned = [Checkpoint(path) for path in paths]
    for name, shape in SHAPES.items():
        at_the_cut = np.zeros(shape, bool)
        for model in tuned:
            size = np.abs(model.values(name) - base.values(name))
            keep = max(1, int(density * size.size))
            at_the_cut |= size == np.sort(size.ravel())[-keep]
        differs = mine.values(name) != theirs.values(name)
        assert not (differs & ~at_the_cut).any(), name


def task_vectors(dtype):
    base, *tuned = [{n: v.astype(np.float32) for n, v in m.items()} for m in models(dtype)]
    return {name: np.stack([model[name] - base[name] for model in tuned]) for name in SHAPES}


@pytest.mark.parametrize("dtype", ["F16", "F32"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("vote", ["count", "mass"])
def test_as_sd_mecha_to_the_bit(dtype, density, vote):
    pytest.importorskip("sd_mecha")
    import torch
    from sd_mecha import ties_sum

    for vectors in task_vectors(dtype).values():
        deltas = [torch.from_numpy(v.copy()) for v in vectors]
        theirs = ties_sum.__wrapped__(*deltas, k=density, vote_sgn=vote == "mass").numpy()
        mine = merge_arrays(ties, ArrayStack(vectors), density=density, vote=vote,
                            compat="sd-mecha")  # fmt: skip
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 0.5, -2)])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("vote, theirs", [("mass", "total"), ("count", "frequency")])
def test_as_peft_to_the_bit(density, vote, theirs, weights):
    pytest.importorskip("peft")
    import torch
    from peft.utils.merge_utils import ties as peft_ties

    for name, vectors in task_vectors("F32").items():
        if int(density * vectors[0].size) == 0:
            continue  # torch 2.13's topk of nothing is an error inside PEFT
        deltas = [torch.from_numpy(v.copy()) for v in vectors]
        expected = peft_ties(deltas, torch.tensor(weights, dtype=torch.float32), density, theirs)
        mine = merge_arrays(ties, ArrayStack(vectors, tuple(map(float, weights))), density=density,
                            vote=vote, compat="peft")  # fmt: skip
        assert np.array_equal(mine, expected.numpy()), name
