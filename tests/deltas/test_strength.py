"""What was applied in part can be taken out again, and what was exported is known again."""

import json
from pathlib import Path

import numpy as np
import pytest

from ckptedit.deltas import apply, export, write_delta
from ckptedit.errors import BadCheckpoint, DoesNotFit
from ckptedit.files import Checkpoint, ledger, write_edited
from deltas.conftest import ERASED, KEY, SHAPES, TEXT, VALUE, dense, low_rank, numbers, stored

EDIT = {KEY: low_rank(SHAPES[KEY], 4), VALUE: dense(SHAPES[VALUE])}


def ledger_of(path: Path) -> list[str]:
    with Checkpoint(path) as checkpoint:
        return [line["operation"] for line in checkpoint.ledger]


@pytest.fixture
def edit(make, tmp_path):
    """base, a delta of it, and where to write."""
    base, edited = make("base"), make("edited", changes=EDIT, lines=[ERASED])
    return base, write_delta(base, edited, tmp_path / "d", exact=True).path, tmp_path


def near(path: Path, base: Path, size: float = 3e-4) -> bool:
    one, other = numbers(path), numbers(base)
    return all(np.abs(one[name] - other[name]).max() <= size for name in EDIT)


def test_half_of_it_is_taken_out_as_the_ledger_says(edit):
    base, delta, folder = edit
    half = apply(base, delta, folder / "half", strength=0.5)
    assert ledger_of(half.path) == ["erase", "apply"]
    back = apply(half.path, delta, folder / "back", reverse=True, strength=0.5)
    assert near(back.path, base) and not near(half.path, base) and ledger_of(back.path) == []
    unlike = [n for n in EDIT if stored(back.path)[n] != stored(base)[n]]
    assert list(back.unlike) == unlike
    assert any("by rounding" in note for note in back.notes) is bool(unlike)


def test_it_is_taken_out_in_parts(edit):
    base, delta, folder = edit
    whole = apply(base, delta, folder / "whole", strength=0.75)
    part = apply(whole.path, delta, folder / "part", reverse=True, strength=0.5)
    assert ledger_of(part.path) == ["erase", "apply", "apply"] and not part.unlike
    rest = apply(part.path, delta, folder / "rest", reverse=True, strength=0.25)
    assert near(rest.path, base) and ledger_of(rest.path) == []


def test_two_halves_are_taken_out_at_once(edit):
    base, delta, folder = edit
    half = apply(base, delta, folder / "half", strength=0.5).path
    whole = apply(half, delta, folder / "whole", strength=0.5, fuzz=True).path
    back = apply(whole, delta, folder / "back", reverse=True)
    assert near(back.path, base) and ledger_of(back.path) == []


def test_another_strength_than_the_ledgers_does_not_fit_and_the_message_says_which(edit):
    base, delta, folder = edit
    half = apply(base, delta, folder / "half", strength=0.5).path
    for strength in (1, 0.75):
        with pytest.raises(DoesNotFit, match=r"--reverse --strength 0\.5 undoes it"):
            apply(half, delta, folder / "x", reverse=True, strength=strength)
    with pytest.raises(DoesNotFit, match="not what it was made from; --fuzz"):
        apply(base, delta, folder / "x", reverse=True, strength=0.5)


def test_what_was_done_after_it_must_be_taken_out_first(edit, make):
    base, delta, folder = edit
    half = apply(base, delta, folder / "half", strength=0.5).path
    other = write_delta(base, make("o", changes={TEXT: dense(SHAPES[TEXT])}), folder / "o").path
    later = apply(half, other, folder / "later").path
    with pytest.raises(DoesNotFit):
        apply(later, delta, folder / "x", reverse=True, strength=0.5)


@pytest.mark.parametrize("format", ["lora", "lycoris"])
def test_an_export_knows_its_base_and_is_taken_out_again(edit, format, make):
    base, delta, folder = edit
    lora = export(delta, folder / "lora", format=format, rank=4 if format == "lora" else None).path
    there = apply(base, lora, folder / "there")
    assert not there.application.fit.unknown and not any("another" in n for n in there.notes)
    assert not there.verified and there.as_dict()["exact"] is None
    back = apply(there.path, lora, folder / "back", reverse=True)
    assert near(back.path, base) and ledger_of(back.path) == []
    with pytest.raises(DoesNotFit, match="not what it was made from; --fuzz"):
        apply(make("other", changes=EDIT), lora, folder / "x")
    with pytest.raises(DoesNotFit, match="ledger of the checkpoint does not say that it is in it"):
        apply(base, lora, folder / "x", reverse=True)
    half = apply(base, lora, folder / "half", strength=0.5).path
    with pytest.raises(DoesNotFit, match=r"it was applied: --reverse --strength 0\.5 undoes it"):
        apply(half, lora, folder / "x", reverse=True)


def test_the_result_is_held_against_its_digest(edit):
    """A delta that lies about what comes out is damaged, however small the lie is."""
    base, delta, folder = edit
    with Checkpoint(delta) as file:
        metadata = dict(file.metadata)
        tensors = json.loads(metadata["ckptedit.tensors"])
        tensors[KEY]["result"] = "0" * 64
        lying = metadata | {"ckptedit.tensors": json.dumps(tensors)}
        write_edited(folder / "lying", file, {}, metadata=lying)
        other = metadata | {"ckptedit.result": json.dumps({"sha256": "0" * 64})}
        write_edited(folder / "other", file, {}, metadata=other)
    with pytest.raises(BadCheckpoint, match=r"is damaged: tensor .* another digest"):
        apply(base, folder / "lying", folder / "x")
    assert not (folder / "x").exists()
    whole = apply(base, folder / "other", folder / "y")
    assert whole.elsewhere and not whole.verified
    assert any("not the checkpoint that it names" in note for note in whole.notes)


def test_what_was_taken_out_under_later_edits_and_is_applied_again_is_told_again(edit, make):
    base, delta, folder = edit
    other = write_delta(base, make("o", changes={TEXT: dense(SHAPES[TEXT])}), folder / "o").path
    both = apply(apply(base, delta, folder / "one").path, other, folder / "both").path
    without = apply(both, delta, folder / "without", reverse=True).path
    with Checkpoint(without) as checkpoint:
        assert ledger.concepts_of(checkpoint.ledger) == []
    again = apply(without, delta, folder / "again").path
    with Checkpoint(again) as checkpoint:
        assert ledger.concepts_of(checkpoint.ledger) == ["Van Gogh"]
    assert stored(again) == stored(both)
