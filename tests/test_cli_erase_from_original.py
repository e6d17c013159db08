"""`ckptedit erase --from-original`: all targets so far, together, from the first weights."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.files import Checkpoint

VAN_GOGH, CAT = ("van gogh", "photo"), ("cat", "dog")


@pytest.fixture
def erase(tiny, tmp_path):
    def run(start, concept, out, *asked, method="balanced", neighbors="1"):
        out = tmp_path / f"{out}.safetensors"
        command = ["erase", str(start), "--concept", concept, "--method", method, *asked]
        command += ["--neighbors", neighbors, "-q", "--json", "-o", str(out)]
        result = CliRunner().invoke(app, command)
        assert (result.exit_code == 0) == out.exists(), result.stderr
        return out if out.exists() else (result.exit_code, result.stderr)

    return run


def tensors(path):
    found = Checkpoint(path)
    return {name: bytes(found.raw(name)) for name in found}


def test_the_order_of_the_requests_changes_no_bit_and_each_keeps_its_anchor(tiny, erase):
    from_tiny = ("--from-original", str(tiny))
    vg, cat = ("van gogh", "--retain", "monet"), ("cat", "--anchor", "dog")
    one = erase(erase(tiny, vg[0], "a", *vg[1:]), cat[0], "ab", *from_tiny, *cat[1:])
    other = erase(erase(tiny, cat[0], "b", *cat[1:]), vg[0], "ba", *from_tiny, *vg[1:])
    assert tensors(one) == tensors(other) != tensors(tiny)
    for path in (one, other):
        first, last = Checkpoint(path).ledger
        assert {(t["concept"], t["anchor"]) for t in last["targets"]} == {VAN_GOGH, CAT}
        assert last["asked"] == ["monet"] and "monet" in last["retain"]
        assert last["original_sha256"] == first["parent_sha256"] == Checkpoint(tiny).data_sha256()
        assert last["parent_sha256"] not in (first["parent_sha256"], "")


def test_a_third_request_goes_on_and_what_was_retained_may_be_erased(tiny, erase):
    first = erase(tiny, "van gogh", "a", "--retain", "monet", method="uce")
    again = ("--from-original", str(tiny))
    second = erase(first, "cat", "ab", *again, method="uce")
    third = erase(second, "monet", "abc", *again, method="uce")
    last = Checkpoint(third).ledger[-1]
    assert last["concepts"] == ["cat", "monet", "van gogh"] and "asked" not in last


def test_a_delta_of_it_is_one_of_the_original(tiny, erase, tmp_path):
    first = erase(tiny, "van gogh", "a", method="uce")
    again = ("--from-original", str(tiny))
    whole = erase(first, "cat", "ab", *again, method="uce")
    delta = erase(first, "cat", "delta", *again, "--delta", method="uce")
    out = tmp_path / "applied.safetensors"
    command = ["apply", str(tiny), str(delta), "-o", str(out), "-q"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert tensors(out) == tensors(whole)


@pytest.fixture
def spoiled(tiny, tmp_path):
    """A copy of a checkpoint in which one tensor is another."""

    def make(path, name):
        held = load_file(path)
        held[name] = held[name] + np.float32(1)
        out = tmp_path / f"spoiled-{path.stem}.safetensors"
        save_file(held, out, metadata=dict(Checkpoint(path).metadata))
        return out

    return make


def test_what_would_be_lost_or_is_not_the_original_is_refused(tiny, erase, spoiled):
    first = erase(tiny, "van gogh", "a", method="uce")
    elsewhere = next(name for name in Checkpoint(tiny) if name.endswith("conv_in.weight"))
    other = spoiled(tiny, elsewhere)
    moved = spoiled(first, elsewhere)
    debiased = erase(tiny, "van gogh", "even", "-p", "debias=monet,hokusai", method="uce")
    for start, original, method, words in (
        (first, other, "uce", "a.safetensors was first erased from: its tensors"),
        (moved, tiny, "uce", "conv_in.weight, which is no key or value"),
        (debiased, tiny, "uce", "more than erasures in its ledger (erase that erases nothing)"),
        (tiny, tiny, "uce", "by its ledger, nothing was erased in"),
        (first, tiny, "conabl", "nothing in use compares with the original"),
    ):
        status, said = erase(start, "cat", "no", "--from-original", str(original), method=method)
        assert status in (1, 2) and words in said, said


def test_what_was_applied_or_merged_since_is_refused(tiny, erase, tmp_path):
    first = erase(tiny, "van gogh", "a", method="uce")
    lines = Checkpoint(first).ledger
    held = Checkpoint(first).metadata | {
        "ckptedit.ledger": json.dumps([*lines, {"operation": "apply", "options": {}}])
    }
    out = tmp_path / "applied.safetensors"
    save_file(load_file(first), out, metadata=held)
    status, said = erase(out, "cat", "no", "--from-original", str(tiny), method="uce")
    assert status in (1, 2) and "more than erasures in its ledger (apply)" in said
