"""`ckptedit verify`: what is claimed and so, and every way in which it may not be."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_model import random_mini_folder
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.deltas import Dense
from ckptedit.families import FAMILIES, MINI, kv_weights
from ckptedit.files import Checkpoint, ledger
from ckptedit.files.touched import patterns
from ckptedit.globs import select

UNTOUCHED = "first_stage_model.decoder.conv_in.weight"


def run(*args):
    return CliRunner().invoke(app, ["verify", *(str(arg) for arg in args)])


def failed(result):
    """The claims that failed, by name, as the last line has them."""
    assert result.exit_code == 1, result.output
    return result.stdout.splitlines()[-1].removeprefix("not verified: ").split(", ")


@pytest.fixture(scope="module")
def files(tmp_path_factory, checkpoint, family):
    """The tiny model, a delta of it, the result of applying that, and of erasing twice."""
    folder = tmp_path_factory.mktemp("verify")
    base = folder / "base.safetensors"
    shutil.copyfile(checkpoint, base)
    with Checkpoint(base) as opened:
        rng = np.random.default_rng(0)
        changes = {
            kv.name: Dense(rng.standard_normal(opened[kv.name].shape).astype(np.float32))
            for kv in kv_weights(opened, family)[:4]
        }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, family.name, family)
        ckptedit.write_delta(base, changes, folder / "delta.safetensors")
        ckptedit.apply(base, folder / "delta.safetensors", folder / "applied.safetensors")
        ckptedit.erase(base, "Van Gogh", folder / "once.safetensors", kind="style")
        ckptedit.erase(folder / "once.safetensors", "Cat", folder / "twice.safetensors")
        yield folder


def tampered(path, target, *, metadata=None, **tensors):
    """The same file with other tensors or metadata; None takes one out."""
    with Checkpoint(path) as opened:
        found = dict(opened.metadata if metadata is None else metadata)
    data = load_file(path) | tensors
    save_file({name: t for name, t in data.items() if t is not None}, target, metadata=found)
    return target


@pytest.mark.parametrize(
    "edited, parent", [("applied", "base"), ("once", "base"), ("twice", "once"), ("twice", "base")]
)
def test_what_was_edited_here_is_verified_against_any_parent(files, edited, parent):
    result = run(files / f"{edited}.safetensors", "--parent", files / f"{parent}.safetensors")
    assert result.exit_code == 0 and result.stdout.splitlines()[-1] == "verified", result.output
    report = json.loads(
        run(
            files / f"{edited}.safetensors", "--parent", files / f"{parent}.safetensors", "--json"
        ).stdout
    )
    count = 4 if edited == "applied" else report["tensors"]["recorded"]
    assert report["verified"] and report["failed"] == []
    assert report["tensors"]["changed"] == count == report["tensors"]["recorded"] <= 8
    assert report["tensors"]["untouched"] == report["tensors"]["tensors"] - count > 300


def test_a_tensor_that_the_ledger_does_not_name_is_found(files, tmp_path):
    other = load_file(files / "once.safetensors")[UNTOUCHED].copy()
    other.flat[-1] += 1
    bad = tampered(files / "once.safetensors", tmp_path / "bad.safetensors", **{UNTOUCHED: other})
    result = run(bad, "--parent", files / "base.safetensors")
    assert failed(result) == ["untouched"] and UNTOUCHED in result.stdout


def test_another_parent_is_found(files, tmp_path):
    tensors = {
        n: t + 1 for n, t in load_file(files / "base.safetensors").items() if t.dtype.kind == "f"
    }
    other = tampered(files / "base.safetensors", tmp_path / "other.safetensors", **tensors)
    assert failed(run(files / "once.safetensors", "--parent", other)) == ["parent", "untouched"]
    moved = load_file(files / "base.safetensors")[UNTOUCHED] + 1
    again = tampered(files / "base.safetensors", tmp_path / "no.safetensors", **{UNTOUCHED: moved})
    assert "parent" in failed(run(files / "once.safetensors", "--parent", again))


def test_tensors_that_are_missing_new_or_of_another_form_are_found(files, tmp_path):
    once, parent = files / "once.safetensors", files / "base.safetensors"
    stored = load_file(once)[UNTOUCHED]
    for change in (
        {UNTOUCHED: None},
        {"new.weight": stored},
        {UNTOUCHED: stored.astype(np.float16)},
    ):
        bad = tampered(once, tmp_path / "bad.safetensors", **change)
        assert "tensors" in failed(run(bad, "--parent", parent)), change


def test_no_ledger_or_one_of_another_line_is_a_claim_that_fails(files, tmp_path):
    base, once = files / "base.safetensors", files / "once.safetensors"
    result = run(base, "--parent", once)
    assert failed(result) == ["ledger"] and "has no ledger" in result.stdout
    assert (
        "entries in its ledger that" in run(files / "applied.safetensors", "--parent", once).stdout
    )
    assert failed(run(once, "--parent", once)) == ["ledger"]


def test_an_entry_that_does_not_say_what_it_touched_is_not_verified(files, tmp_path):
    with Checkpoint(files / "once.safetensors") as once:
        (line,) = once.ledger
    del line["touched"]
    old = tampered(files / "once.safetensors", tmp_path / "old.safetensors",
                   metadata=ledger.replaced({}, [line]))  # fmt: skip
    result = run(old, "--parent", files / "base.safetensors")
    assert failed(result) == ["untouched"] and "does not say which" in result.stdout


@pytest.mark.parametrize("odd", [[""], ["re:("], ["x" * 2000], ["**", "!re:(.*)*(.*)*q"]])
def test_an_entry_whose_patterns_are_none_is_not_verified(files, tmp_path, odd):
    with Checkpoint(files / "once.safetensors") as once:
        (line,) = once.ledger
    bad = tampered(files / "once.safetensors", tmp_path / "bad.safetensors",
                   metadata=ledger.replaced({}, [line | {"touched": odd}]))  # fmt: skip
    assert failed(run(bad, "--parent", files / "base.safetensors")) == ["untouched"]


@pytest.mark.parametrize("key", ["operation", "parent_sha256", "sshs_model_hash"])
def test_what_a_file_says_of_itself_writes_no_line_of_the_verdict(files, tmp_path, key):
    lie = "\x1b[2K\nok  x"
    with Checkpoint(files / "once.safetensors") as once:
        (line,) = once.ledger
    known = key in line
    said = ledger.replaced({}, [line | ({key: lie} if known else {})]) | (
        {} if known else {key: lie}
    )
    bad = tampered(files / "once.safetensors", tmp_path / "bad.safetensors", metadata=said)
    result = run(bad, "--parent", files / "base.safetensors")
    assert "\x1b" not in result.stdout and "\nok  x" not in result.stdout, result.stdout
    assert r"\x1b[2K\nok  x" in result.stdout


def test_a_digest_in_the_metadata_that_is_not_that_of_the_data_is_found(files, tmp_path):
    with Checkpoint(files / "once.safetensors") as once:
        said = once.metadata | {"modelspec.hash_sha256": "0x" + "1" * 64}
    bad = tampered(files / "once.safetensors", tmp_path / "bad.safetensors", metadata=said)
    assert failed(run(bad, "--parent", files / "base.safetensors")) == ["digest"]


def test_a_delta_is_held_against_its_base_and_its_result(files, tmp_path):
    delta, base = files / "delta.safetensors", files / "base.safetensors"
    result = run(delta, "--parent", base)
    assert result.exit_code == 0 and "4 tensors change as it says" in result.stdout
    assert failed(run(delta, "--parent", files / "applied.safetensors")) == ["parent", "tensors"]
    with Checkpoint(delta) as opened:
        said, name = dict(opened.metadata), next(n for n in opened if n.endswith(".diff"))
    other = load_file(delta)[name] + 1
    bad = tampered(delta, tmp_path / "bad.safetensors", **{name: other})
    assert failed(run(bad, "--parent", base)) == ["digest"]
    hidden = {k: v for k, v in said.items() if "hash" not in k}
    bad = tampered(delta, tmp_path / "bad.safetensors", metadata=hidden, **{name: other})
    result = run(bad, "--parent", base)
    assert failed(result) == ["result"] and "comes out with another digest" in result.stdout


def test_a_merge_and_an_exported_folder_are_verified_too(files, tmp_path):
    base, merged = files / "base.safetensors", tmp_path / "merged.safetensors"
    ckptedit.merge(base, [files / "applied.safetensors", files / "once.safetensors"], merged)
    assert run(merged, "--parent", base).exit_code == 0
    ckptedit.export(files / "once.safetensors", tmp_path / "folder")
    assert run(tmp_path / "folder", "--parent", base).exit_code == 0
    path = tmp_path / "folder/vae/diffusion_pytorch_model.safetensors"
    tampered(
        path, path, **{"decoder.conv_in.weight": load_file(path)["decoder.conv_in.weight"] + 1}
    )
    assert failed(run(tmp_path / "folder", "--parent", base)) == ["untouched"]
    parts = random_mini_folder(tmp_path / "parts")
    with Checkpoint(parts) as opened:
        kv = kv_weights(opened, MINI)[0].name
        change = Dense(np.ones(opened[kv].shape, np.float32))
    ckptedit.apply(parts, {kv: change}, tmp_path / "edited")
    assert run(tmp_path / "edited", "--parent", parts).exit_code == 0


def test_trouble_is_status_2(files, tmp_path):
    result = run(tmp_path / "none.safetensors", "--parent", files / "base.safetensors")
    assert result.exit_code == 2 and result.stderr.startswith("error: ")


def test_what_was_touched_is_short_and_means_itself_alone():
    names = [f"m.b.{i}.1.attn2.to_{x}.weight" for i in range(70) for x in "kvq"]
    names += ["m.b.0.1.norm.bias", "[odd]*.weight", "!odd", "x.position_ids"]
    for wanted, said in (
        ([n for n in names if "to_k" in n], ["**.attn2.to_k.weight"]),
        (names[:-1], ["**", "!x.position_ids"]),
        (names, ["**"]),
        ([names[0]], [names[0]]),
        (["[odd]*.weight", "!odd"], None),
        ([], []),
    ):
        found = patterns(wanted, names)["touched"]
        assert said is None or found == said
        assert not wanted or select(names, found) == [n for n in names if n in wanted]
    assert patterns(["m." + "x" * 1000], ["m." + "x" * 1000, "y", "z"]) == {}


def test_a_tensor_of_many_pieces_is_compared_to_its_end(tmp_path):
    values = np.arange(600_000, dtype=np.float32)
    line = ledger.entry("erase", {}, "", touched=["**.k.weight"])
    for name, last in (("base", 599_999), ("edited", 0)):
        values[-1] = last
        metadata = ledger.replaced({}, [line] if name == "edited" else [])
        save_file({"a.weight": values}, tmp_path / f"{name}.safetensors", metadata=metadata)
    result = run(tmp_path / "edited.safetensors", "--parent", tmp_path / "base.safetensors")
    assert failed(result) == ["parent", "untouched"] and "a.weight" in result.stdout
    again = tampered(tmp_path / "base.safetensors", tmp_path / "same.safetensors",
                     metadata=ledger.replaced({}, [line]))  # fmt: skip
    result = run(again, "--parent", tmp_path / "base.safetensors")
    assert failed(result) == ["parent"]


def test_the_parent_of_a_delta_with_a_history_is_what_it_was_applied_to(files, tmp_path):
    base, delta = files / "base.safetensors", tmp_path / "delta.safetensors"
    ckptedit.erase(base, "Van Gogh", delta, kind="style", delta=True)
    moved = load_file(base)[UNTOUCHED] + 1
    other = tampered(base, tmp_path / "other.safetensors", **{UNTOUCHED: moved})
    ckptedit.apply(other, delta, tmp_path / "edited.safetensors")
    assert run(tmp_path / "edited.safetensors", "--parent", other).exit_code == 0
    assert failed(run(tmp_path / "edited.safetensors", "--parent", base)) == ["untouched"]


def test_what_was_imported_and_applied_is_verified(files, tmp_path):
    base, lora = files / "base.safetensors", tmp_path / "theirs.safetensors"
    ckptedit.export(files / "delta.safetensors", lora, format="lycoris")
    ckptedit.import_delta(lora, base, tmp_path / "d.safetensors")
    ckptedit.apply(base, tmp_path / "d.safetensors", tmp_path / "edited.safetensors")
    result = run(tmp_path / "edited.safetensors", "--parent", base)
    assert result.exit_code == 0 and "import, apply" in result.stdout
