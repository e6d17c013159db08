"""`ckptedit erase`: which weights are edited, and what a training starts from."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.files import Checkpoint

SMALL = ["--steps", "2", "--batch", "2", "--pictures", "2", "--neighbors", "1", "--device", "cpu"]


def erase(tiny, out, *asked):
    trained = SMALL if asked[:2] != ("--method", "uce") else ["--neighbors", "1"]
    command = ["erase", str(tiny), "--concept", "van gogh", *trained, *asked, "-q", "--json"]
    return CliRunner().invoke(app, [*command, "-o", str(out)])


def changed(tiny, out):
    before, after = Checkpoint(tiny), Checkpoint(out)
    return {n for n in before if not np.array_equal(before.raw(n), after.raw(n))}


@pytest.mark.parametrize("method", ["conabl", "uce"])
@pytest.mark.parametrize("params", ["k", "v", "kv"])
def test_the_weights_that_are_named_are_edited_and_no_others(tiny, tmp_path, method, params):
    out = tmp_path / "out.safetensors"
    result = erase(tiny, out, "--method", method, "--params", params)
    assert result.exit_code == 0, result.stderr
    found = changed(tiny, out)
    assert found and {name.split("attn2.to_")[1][0] for name in found} == set(params)
    assert Checkpoint(out).ledger[-1]["options"]["roles"] == params


def test_weights_that_a_method_does_not_edit_are_refused(tiny, tmp_path):
    out = tmp_path / "out.safetensors"
    result = erase(tiny, out, "--params", "q")
    assert result.exit_code == 2 and "conabl edits kv or k or v, not 'q'" in result.stderr


def test_a_training_starts_from_a_closed_form_and_both_are_in_the_edit(tiny, tmp_path):
    alone, both, form = (tmp_path / f"{name}.safetensors" for name in ("alone", "both", "form"))
    assert erase(tiny, form, "--method", "uce", "-p", "erase=9").exit_code == 0
    assert erase(tiny, alone, "--guard", "none").exit_code == 0
    result = erase(tiny, both, "--guard", "none", "--init", "uce", "-p", "uce.erase=9")
    assert result.exit_code == 0, result.stderr
    name = sorted(changed(tiny, form))[0]
    base, *edits = (Checkpoint(p).tensor(name).double() for p in (tiny, form, alone, both))
    made, trained, started = (edit - base for edit in edits)
    # Adam's two steps move every entry by as much, whatever the gradient: 2 x 0.0005 or less
    assert (started - made).abs().max() <= 1.1e-3 < trained.abs().max() + made.abs().max()
    assert (started - made).abs().max() > 1e-5
    assert json.loads(result.stdout)["init"] == "uce"


def test_what_compares_with_the_original_needs_the_file_that_the_ledger_begins_with(tiny, tmp_path):
    first, second, other = (tmp_path / f"{name}.safetensors" for name in ("1", "2", "3"))
    asked = ["--guard", "l2", "-p", "around=original"]
    assert erase(tiny, first, *asked).exit_code == 0  # nothing was done to it: it is the original
    asked += ["--concept", "monet"]
    refused = erase(first, second, *asked)
    assert refused.exit_code == 2 and "name the checkpoint that" in refused.stderr
    wrong = erase(first, second, *asked, "--from-original", str(first))
    assert wrong.exit_code == 2 and "is not what" in wrong.stderr and not second.exists()
    assert erase(first, second, *asked, "--from-original", str(tiny)).exit_code == 0
    unasked = erase(first, other, "--concept", "monet", "--from-original", str(tiny))
    assert unasked.exit_code == 2 and "leave out --from-original" in unasked.stderr


def test_what_only_informs_is_a_note_and_no_warning(tiny, tmp_path):
    first, second = (str(tmp_path / f"{name}.safetensors") for name in ("1", "2"))
    assert erase(tiny, first).exit_code == 0
    asked = ["erase", first, "--concept", "monet", *SMALL, "--guard", "outputs", "--json"]
    result = CliRunner().invoke(app, [*asked, "--from-original", str(tiny), "-o", second])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    (note,) = report["notes"]
    assert note.startswith("outputs of earlier edits were held in") and not report["warnings"]
    assert f"\n{note}\n" in result.stderr and "warning" not in result.stderr


@pytest.mark.parametrize(
    "asked, words",
    [
        (["--method", "uce", "--init", "uce"], "uce is a closed form: it starts from nothing else"),
        (["--method", ""], "no method is called ''"),
        (["--init", "conabl"], "no closed form is called 'conabl'"),
        (["--clip", "0"], "clip must be above 0"),
        (["--method", "salun", "--guard", "gradproj:soft"], "salun lets single weights move, and"),
        (["--guard", "gradproj:soft", "--guard", "selft"], "selft lets single weights move, and"),
        (["--method", "uce", "--tokens", "all"], "--tokens is of a training, and uce is a closed"),
        (["--method", "uce", "--steps", "5"], "--steps is of a training, and uce is a closed form"),
    ],
)
def test_what_cannot_be_is_refused(tiny, tmp_path, asked, words):
    out = tmp_path / "out.safetensors"
    result = erase(tiny, out, *asked)
    assert result.exit_code == 2 and words in result.stderr and not out.exists()


@pytest.mark.parametrize("all_of_them", [["selft.by=row"], ["selft.top=1"]])
def test_masks_that_leave_rows_whole_go_with_a_few_directions(tiny, tmp_path, all_of_them):
    out = tmp_path / "out.safetensors"
    both = ["--guard", "gradproj:soft", "--guard", "selft", "-p", *all_of_them]
    result = erase(tiny, out, *both, "--dry-run")
    assert result.exit_code == 0, result.stderr
