"""Singular values of deltas against numbers known beforehand, and the shared-factor test."""

import math

import numpy as np
import pytest
import torch

from ckptedit.drift import compare
from ckptedit.drift.spectra import singular_values, spectrum, with_spectra
from ckptedit.files import Checkpoint

KV = [
    f"model.diffusion_model.input_blocks.{block}.1.transformer_blocks.0.attn2.to_{role}.weight"
    for block in (1, 2, 4, 5)
    for role in "kv"
]
DIM, RANK = 96, 3


@pytest.fixture
def spectra_of(save):
    def run(old, new):
        with Checkpoint(save("old", old)) as before, Checkpoint(save("new", new)) as after:
            return with_spectra(compare(before, after), before, after)

    return run


def randn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def edited(dtype, right):
    """K/V weights before and after; right(i): the right factor [RANK, DIM] of the i-th edit."""
    old = {name: (0.1 * randn(64, DIM, seed=i)).to(dtype) for i, name in enumerate(KV)}
    new = {
        name: (old[name].float() + 0.02 * randn(64, RANK, seed=50 + i) @ right(i)).to(dtype)
        for i, name in enumerate(KV)
    }
    return old, new


def test_a_spectrum_worked_by_hand():
    found = spectrum(singular_values(np.diag([9.0, 16.0, 0.0])))
    assert (found.spectral_norm, found.rank) == (4.0, 2)
    assert found.stable_rank == pytest.approx(25 / 16)
    entropy = -(4 / 7 * math.log(4 / 7) + 3 / 7 * math.log(3 / 7))
    assert found.effective_rank == pytest.approx(math.exp(entropy))


def test_the_spectrum_of_an_edit_of_low_rank_is_exact(spectra_of):
    """Small singular values are lost in a Gram matrix, and 600 of them are not small."""
    left, right = (torch.randint(-8, 9, size).float() for size in ((640, 1), (1, 768)))
    found = spectra_of({"w": torch.zeros(640, 768)}, {"w": left @ right}).spectra["w"]
    assert found.effective_rank == pytest.approx(1, abs=1e-9) and found.rank == 1


def test_a_spectrum_of_nothing_is_zero():
    assert spectrum(singular_values(np.zeros((3, 3)))).effective_rank == 0.0


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (8, 3, 3, 3)])
def test_spectra_agree_with_a_singular_value_decomposition(spectra_of, shape):
    old, new = randn(*shape, seed=1).double(), randn(*shape, seed=2).double()
    found = spectra_of({"w": old}, {"w": new}).spectra["w"]
    s = torch.linalg.svdvals((new - old).reshape(shape[0], -1))
    assert found.spectral_norm == pytest.approx(s[0].item(), rel=1e-9)
    assert found.stable_rank == pytest.approx(((s**2).sum() / s[0] ** 2).item(), rel=1e-9)
    assert found.rank == min(shape[0], math.prod(shape[1:]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rounding_to_the_stored_dtype_does_not_hide_the_rank(spectra_of, dtype):
    old, new = edited(dtype, lambda i: randn(RANK, DIM, seed=100 + i))
    report = spectra_of(old, new)
    assert {found.rank for found in report.spectra.values()} == {RANK}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_right_factored_edit_is_recognised(spectra_of, dtype):
    right = randn(RANK, DIM, seed=9)
    (factor,) = spectra_of(*edited(dtype, lambda i: right)).factors
    assert factor.shared
    assert (factor.matrices, factor.dim, factor.rank) == (len(KV), DIM, RANK)


def test_low_rank_edits_of_different_rows_share_nothing(spectra_of):
    old, new = edited(torch.float16, lambda i: randn(RANK, DIM, seed=100 + i))
    (factor,) = spectra_of(old, new).factors
    assert not factor.shared
    assert factor.rank == RANK * len(KV)
    assert factor.sharing == 0.0


def test_two_independent_rank_one_edits_share_nothing(spectra_of):
    def one(i):
        return randn(1, DIM, seed=100 + i)

    old = {name: torch.zeros(64, DIM) for name in KV[:2]}
    new = {name: randn(64, 1, seed=i) @ one(i) for i, name in enumerate(old)}
    (factor,) = spectra_of(old, new).factors
    assert not factor.shared
    assert factor.rank == 2


def test_edits_of_full_rank_share_nothing_that_matters(spectra_of):
    old = {name: torch.zeros(128, DIM) for name in KV}
    new = {name: randn(128, DIM, seed=i) for i, name in enumerate(KV)}
    (factor,) = spectra_of(old, new).factors
    assert not factor.shared
    assert factor.rank == DIM


def test_vectors_and_tensors_with_nan_have_no_spectrum(spectra_of):
    old = {"bias": torch.zeros(4), "bad": torch.zeros(4, 4), "ints": torch.zeros(4, 4).int()}
    new = {"bias": torch.ones(4), "bad": torch.full((4, 4), torch.nan), "ints": old["ints"] + 1}
    assert spectra_of(old, new).spectra == {}


def test_the_spectrum_is_part_of_the_json(spectra_of):
    report = spectra_of({"w": torch.zeros(3, 3)}, {"w": torch.eye(3) * 2}).as_dict()
    assert report["tensors"][0]["spectrum"]["spectral_norm"] == pytest.approx(2.0)
    assert report["tensors"][0]["spectrum"]["rank"] == 3
