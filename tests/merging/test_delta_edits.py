"""Deltas among what is merged."""

import numpy as np
import pytest

from ckptedit.deltas import write_delta
from ckptedit.deltas.keys import generic
from ckptedit.errors import Incompatible
from ckptedit.files import Checkpoint, ledger
from ckptedit.files.history import digest
from ckptedit.merging import merge
from merging.conftest import numbers, save, stored

KEY = "model.diffusion_model.input_blocks.1.1.attn2.to_k.weight"
VALUE = "model.diffusion_model.output_blocks.3.1.attn2.to_v.weight"


@pytest.fixture
def as_delta(base, tmp_path):
    """as_delta(edited) writes the difference to the base beside it."""

    def write(edited, **making):
        path = edited.with_suffix(".delta.safetensors")
        with Checkpoint(base) as before, Checkpoint(edited) as after:
            write_delta(before, after, path, **making)
        return path

    return write


def merged(base, edits, **settings):
    out = base.with_name("out.safetensors")
    return merge(base, edits, out, force=True, **settings), out


@pytest.mark.parametrize("method", ["task", "ties"])
def test_a_delta_counts_as_the_checkpoint_that_it_was_made_from(base, edits, as_delta, method):
    _, out = merged(base, edits, method=method)
    whole = numbers(out)
    mixed, out = merged(base, [as_delta(edits[0], exact=True), edits[1], as_delta(edits[2])],
                        method=method)  # fmt: skip
    assert mixed.notes == []
    found = numbers(out)
    for name, value in whole.items():
        size = max(float(np.abs(value).max(initial=0)), 1) if value.dtype != bool else 1
        np.testing.assert_allclose(found[name].astype(float), value.astype(float), atol=0.02 * size)


def test_a_delta_leaves_what_it_does_not_name(base, make, as_delta):
    only = make("only", 0, {KEY: ("F16", numbers(base)[KEY] * 2)})
    report, out = merged(base, [as_delta(only)], method="task")
    changed = {n for n, raw in stored(out).items() if raw != stored(base)[n]}
    assert changed == {KEY} and report.tensors["merged"] == 1
    np.testing.assert_allclose(numbers(out)[KEY], 2 * numbers(base)[KEY], rtol=2e-3)


def test_a_low_rank_delta_is_merged_from_its_factors(base, make, as_delta):
    start = numbers(base)[KEY]
    change = np.outer(np.arange(12), np.ones(8)) * 0.25
    edited = make("edited", 0, {KEY: ("F16", start + change.astype(np.float32))})
    delta = as_delta(edited)
    with Checkpoint(delta) as file:
        assert any(name.endswith(".lora_up.weight") for name in file)
    _, out = merged(base, [delta, delta], method="task")
    np.testing.assert_allclose(numbers(out)[KEY], start + 2 * change, rtol=2e-3, atol=2e-3)


def test_a_delta_of_another_base_is_added_with_a_note(base, make, as_delta):
    delta = as_delta(make("edited", 1))
    other = make("other", 2)
    report, _ = merged(other, [delta], method="task")
    assert "not in" in report.notes[0] and "as when the delta was made" in report.notes[0]


def test_fuse_takes_the_gram_matrices_that_deltas_carry(base, make, as_delta):
    """Two edits of one weight, each for embeddings of its own: both hold after the fusion."""
    rng, start = np.random.default_rng(0), numbers(base)[KEY]
    embeddings = [np.eye(8)[:3] * 4, np.eye(8)[3:6] * 2]
    changes = [rng.standard_normal((12, 8)).astype(np.float32) for _ in embeddings]
    deltas = [
        as_delta(make(f"e{i}", 0, {KEY: ("F16", start + change)}), gram=(e.T @ e).astype("f4"))
        for i, (change, e) in enumerate(zip(changes, embeddings, strict=True))
    ]
    _, out = merged(base, deltas, method="fuse", keys=[KEY], params={"ridge": 1e-4})
    moved = numbers(out)[KEY] - start
    for change, e in zip(changes, embeddings, strict=True):
        np.testing.assert_allclose(moved @ e.T, change @ e.T, atol=0.03)
    np.testing.assert_allclose(moved @ np.eye(8)[6:].T, 0, atol=1e-2)


def test_fuse_says_which_edit_carries_no_gram_matrix(base, make, as_delta):
    with pytest.raises(Incompatible, match=r"edit 1 carries no Gram matrix .* tensor `gram`"):
        merged(base, [as_delta(make("edited", 1))], method="fuse", keys=[KEY])


def test_the_ledger_of_a_delta_ends_up_in_the_output(base, make, as_delta):
    line = ledger.entry("erase", {}, "0" * 64, concepts=["Van Gogh"])
    edited = make("edited", 1, metadata=ledger.append({}, line))
    _, out = merged(base, [as_delta(edited)])
    with Checkpoint(out) as checkpoint:
        erasure, merge = checkpoint.ledger
    assert merge["concepts"] == ["Van Gogh"]
    assert merge["inputs"][0]["ledger"] == [digest(line)] and erasure == line | {"branch": True}


def test_a_lora_of_another_tool_is_merged(base, tmp_path):
    module = generic(KEY).removesuffix(".weight")
    up, down = np.ones((12, 1)), np.full((1, 8), 0.5)
    factors = {
        f"{module}.lora_up.weight": ("F32", up), f"{module}.lora_down.weight": ("F32", down),
        f"{module}.alpha": ("F32", np.array(1.0)),
    }  # fmt: skip
    lora = save(tmp_path / "lora.safetensors", factors)
    report, out = merged(base, [lora], method="task")
    np.testing.assert_allclose(numbers(out)[KEY], numbers(base)[KEY] + 0.5, rtol=2e-3, atol=1e-3)
    assert "another tool's" in report.notes[0]
