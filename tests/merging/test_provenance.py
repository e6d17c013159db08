"""Whose erasures the ledger of a merge tells of: of what it put in, and not of what it took out."""

import pytest

from ckptedit.concepts.targets import erased
from ckptedit.deltas import write_delta
from ckptedit.files import Checkpoint, ledger
from ckptedit.merging import merge as merge_files
from ckptedit.merging.blocks import NAMES

ATTENTION = ["**.attn2.**"]


def erasing(*concepts, start=None):
    """Metadata of a checkpoint that has had concepts erased, one after the other."""
    metadata = start or {}
    for concept in concepts:
        target = {"concept": concept, "kind": "style", "anchor": "a photo"}
        line = ledger.entry("erase", {}, "0" * 64, concepts=[concept], targets=[target])
        metadata = ledger.append(metadata, line)
    return metadata


@pytest.fixture
def monet(make):
    return make("monet", 1, metadata=erasing("Monet"))


@pytest.fixture
def cubism(make):
    return make("cubism", 2, metadata=erasing("Cubism"))


@pytest.fixture
def told(base):
    """told(edits, ...) -> (the concepts of the merge's ledger entry, those that are erased)"""

    def merge(edits, start=base, **settings):
        out = base.with_name("out.safetensors")
        merge_files(start, edits, out, force=True, **settings)
        with Checkpoint(out) as merged:
            line = merged.ledger[-1]
            assert len(line["inputs"]) == len(edits)
            return line.get("concepts", []), [target.concept for target in erased(merged.ledger)]

    return merge


def test_edits_that_are_added_count(told, monet, cubism):
    both = ["Monet", "Cubism"]
    assert told([monet, cubism]) == (both, both)
    assert told([monet, cubism], method="slerp") == (both, both)
    assert told([monet], method="linear", weights=(-1,)) == (["Monet"], ["Monet"])  # -1 / -1
    negated = {"method": "task", "weights": (-1,), "scale": -1}
    assert told([monet], **negated) == (["Monet"], ["Monet"])


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "task", "weights": (1, 0)},
        {"method": "task", "weights": (1, -1)},
        {"method": "linear", "weights": (2, -1)},
        {"method": "add-difference"},
        {"method": "slerp", "params": {"t": 0}},
    ],
)
def test_an_edit_that_is_left_out_or_taken_away_does_not_count(told, monet, cubism, settings):
    assert told([monet, cubism], **settings) == (["Monet"], ["Monet"])


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": 0},
        {"scale": -1},
        {"keys": ["position_ids"]},
        {"keys": ATTENTION, "blocks": {"IN01": 0, "OUT03": 0}},
        {"blocks": dict.fromkeys(NAMES, 0)},
    ],
)
def test_nothing_counts_if_nothing_is_merged(told, monet, settings):
    assert told([monet], **settings) == ([], [])


def test_a_delta_counts_only_where_it_changes_something(told, base, make):
    key = "logit_scale"
    edited = make("edited", 0, {key: ("F32", 3.0)}, metadata=erasing("Monet"))
    delta = delta_of(base, edited)
    assert told([delta], keys=["!logit_scale"]) == ([], [])
    assert told([delta], keys=["logit_scale"]) == (["Monet"], ["Monet"])


def delta_of(base, edited):
    path = edited.with_suffix(".delta.safetensors")
    with Checkpoint(base) as before, Checkpoint(edited) as after:
        write_delta(before, after, path)
    return path


def test_an_edit_less_itself_is_nothing(told, monet):
    assert told([monet, monet], method="add-difference") == ([], [])


def test_an_edit_less_what_it_was_made_from_counts_with_what_is_new(told, monet, make):
    with Checkpoint(monet) as checkpoint:
        later = make("later", 3, metadata=erasing("Cubism", start=checkpoint.metadata))
    assert told([later, monet], method="add-difference") == (["Cubism"], ["Cubism"])


def test_taking_a_delta_out_of_what_it_is_in_undoes_its_erasures(told, base, monet):
    delta = delta_of(base, monet)
    assert told([delta], start=monet, method="task", weights=(-1,)) == ([], [])
    assert told([delta], start=monet, method="task", scale=0) == ([], ["Monet"])
    assert told([delta, delta], start=monet, method="task", weights=(1, -1)) == ([], ["Monet"])


def test_taking_a_checkpoint_with_the_same_history_away_undoes_nothing(told, monet, make):
    """What both have cancels in the task vector, so there is nothing of it to take out."""
    with Checkpoint(monet) as checkpoint:
        other = make("other", 3, metadata=checkpoint.metadata)
    assert told([other], start=monet, method="task", weights=(-1,)) == ([], ["Monet"])


def test_what_an_input_took_out_again_does_not_count():
    (line,) = ledger.read(erasing("Monet"))
    undone = ledger.entry("apply", {}, "0" * 64, taken_out=[line])
    merge = ledger.entry("merge", {}, "0" * 64, inputs=[{"ledger": [line, undone]}])
    assert ledger.concepts_of([line, undone]) == [] and erased([merge]) == []
