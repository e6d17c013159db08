"""Laws: a delta applied to its base is the edited checkpoint; taken out of that, the base."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import ckptedit
from ckptedit.deltas import apply, export, open_delta, plan, read_delta, write_delta
from ckptedit.deltas.change import Dense, LowRank, Replacement, patched
from ckptedit.errors import (
    BadCheckpoint,
    BadParam,
    DoesNotFit,
    Incompatible,
    OutputExists,
    Overflow,
    UnknownName,
)  # fmt: skip
from ckptedit.files import Checkpoint, TensorInfo, encode, write, write_edited
from ckptedit.files.history import digest
from deltas.conftest import (
    BIAS,
    CONV,
    ERASED,
    IDS,
    KEY,
    SHAPES,
    TEXT,
    VAE,
    VALUE,
    dense,
    low_rank,
    numbers,
    stored,
)  # fmt: skip

EDIT = {
    KEY: low_rank(SHAPES[KEY], 4),
    VALUE: dense(SHAPES[VALUE]),
    CONV: low_rank(SHAPES[CONV], 3),
    BIAS: dense(SHAPES[BIAS]),
    VAE: dense(SHAPES[VAE]),
}


def delta_of(base, edited, target, **how):
    with Checkpoint(base) as old, Checkpoint(edited) as new:
        return write_delta(old, new, target, force=True, **how)


def applied(base, delta, output, **options):
    with Checkpoint(base) as old, Checkpoint(delta) as changes:
        return apply(old, changes, output, force=True, **options)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"])
def test_an_exact_delta_gives_the_edited_checkpoint_and_the_base_to_the_bit(make, tmp_path, dtype):
    base, edited = make("base", dtype), make("edited", dtype, EDIT)
    made = delta_of(base, edited, tmp_path / "d", exact=True)
    assert (made.off, made.back) == ((0, 0.0), (0, 0.0))
    there = applied(base, tmp_path / "d", tmp_path / "there")
    assert stored(there.path) == stored(edited) and there.verified and not there.application.notes
    back = applied(there.path, tmp_path / "d", tmp_path / "back", reverse=True)
    assert stored(back.path) == stored(base) and back.verified


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_without_exact_the_stated_error_is_the_error(make, tmp_path, dtype):
    base, edited = make("base", dtype), make("edited", dtype, EDIT)
    made = delta_of(base, edited, tmp_path / "d")
    there = applied(base, tmp_path / "d", tmp_path / "there")
    ours, theirs, before = numbers(there.path), numbers(edited), numbers(base)
    for name, entry in made.entries.items():
        error = np.abs(ours[name] - theirs[name])
        assert entry.off == (int((error > 0).sum()), float(error.max()))
    assert (
        there.application.off == made.off and there.sha256 == made.result_sha256 and there.verified
    )
    back = applied(there.path, tmp_path / "d", tmp_path / "back", reverse=True)
    left = numbers(back.path)
    worst = max(float(np.abs(left[name] - before[name]).max()) for name in made.entries)
    assert made.back[1] == worst == back.application.off[1]
    assert (back.sha256 == Checkpoint(base).data_sha256()) == (made.back[0] == 0)


def test_a_half_precision_edit_of_low_rank_is_stored_as_factors_of_that_rank(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    made = delta_of(base, edited, tmp_path / "d")
    assert {name: entry.form for name, entry in made.entries.items()} == {
        KEY: "lora", VALUE: "diff", CONV: "lora", BIAS: "diff", VAE: "diff"
    }  # fmt: skip
    with Checkpoint(tmp_path / "d") as file:
        start = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
        assert file[f"{start}.lora_up.weight"].shape == (128, 4)
        assert file[f"{start}.lora_down.weight"].shape == (4, 256)
        assert float(file.values(f"{start}.alpha")) == 4
        assert file["lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight"].shape == (48, 3, 1, 1)
        assert file["lora_unet_down_blocks_0_resnets_0_conv1.diff_b"].shape == (48,)
    # what the factors miss is no more than what rounding to half precision had added
    ulp = 2.0**-11 * np.abs(numbers(edited)[KEY]).max()
    assert 0 < made.entries[KEY].off[1] <= 2 * ulp


def test_an_unrounded_change_of_low_rank_keeps_its_rank_and_its_values(make, tmp_path):
    base, change = make("base", "F32"), low_rank(SHAPES[KEY], 8)
    with Checkpoint(base) as old:
        made = write_delta(old, {KEY: change}, tmp_path / "d", tolerance=1e-6)
    assert made.forms == {"lora": 1}
    assert np.linalg.norm(read_delta(tmp_path / "d")[KEY] - change) < 1e-6 * np.linalg.norm(change)
    with Checkpoint(tmp_path / "d") as file:
        assert [file[name].shape for name in file] == [(128, 8), (8, 256), ()]


def test_factors_are_never_larger_than_half_of_the_difference(make, tmp_path):
    base, edited = make("base"), make("edited", changes={TEXT: low_rank(SHAPES[TEXT], 20)})
    assert delta_of(base, edited, tmp_path / "d").forms == {"diff": 1}


def test_a_change_near_the_rounding_of_its_dtype_is_not_made_of_factors(make, tmp_path):
    change = low_rank(SHAPES[KEY], 2, size=1e-4)
    base, edited = make("base", "BF16"), make("edited", "BF16", {KEY: change})
    assert delta_of(base, edited, tmp_path / "d").forms == {"diff": 1}


def test_what_no_difference_can_restore_is_replaced_in_an_exact_delta(make, tmp_path):
    new = numbers(make("base", "F32"))[KEY].copy()
    new[0] = 1e-30  # a float32 difference loses it beside the old value
    new[1] = -0.0
    base, edited = make("base", "F32"), make("edited", "F32", replace={KEY: new})
    rough = delta_of(base, edited, tmp_path / "d")
    assert rough.off[0] > 0
    made = delta_of(base, edited, tmp_path / "d", exact=True)
    assert made.forms == {"set": 1}
    assert stored(applied(base, tmp_path / "d", tmp_path / "o").path) == stored(edited)
    assert stored(applied(edited, tmp_path / "d", tmp_path / "o", reverse=True).path) == stored(
        base
    )
    half = numbers(applied(base, tmp_path / "d", tmp_path / "o", strength=0.5).path)[KEY]
    np.testing.assert_allclose(half, (numbers(base)[KEY] + new) / 2, rtol=1e-6, atol=1e-9)


def test_zeros_keep_their_sign_where_nothing_changes():
    info = TensorInfo("x", "F16", (4,), 0, 8)
    raw = encode(np.array([-0.0, 0.0, -0.0, 1.0], np.float32), "F16", name="x")
    change = Dense(np.array([0.0, -0.0, 1.0, 0.0], np.float32))
    after = patched(raw, info, change, 1)
    np.testing.assert_array_equal(after.view(np.float16), np.array([-0.0, 0, 1, 1], np.float16))
    assert after.view(np.uint16)[0] == 0x8000


def test_integers_are_replaced_whole_or_not(make, tmp_path):
    base = make("base")
    edited = tmp_path / "edited.safetensors"
    with Checkpoint(base) as old:
        write_edited(edited, old, {IDS: np.arange(7)[::-1].copy()})
    assert delta_of(base, edited, tmp_path / "d").forms == {"set": 1}
    assert stored(applied(base, tmp_path / "d", tmp_path / "o").path) == stored(edited)
    with pytest.raises(BadParam, match="of I64: it can be replaced with strength 1"):
        applied(base, tmp_path / "d", tmp_path / "p", strength=0.5)
    assert not (tmp_path / "p").exists()


def test_strength_scales_the_change_and_zero_leaves_every_byte_of_the_file(make, tmp_path):
    base, edited = make("base", "F32"), make("edited", "F32", EDIT)
    delta_of(base, edited, tmp_path / "d")
    before, changes = numbers(base), read_delta(tmp_path / "d")
    third = numbers(applied(base, tmp_path / "d", tmp_path / "o", strength=-1 / 3).path)
    for name, change in changes.items():
        np.testing.assert_allclose(third[name], before[name] - change / 3, rtol=1e-6, atol=1e-8)
    nothing = applied(base, tmp_path / "d", tmp_path / "o", strength=0)
    assert nothing.path.read_bytes() == base.read_bytes()


def test_files_of_another_dtype_have_a_delta_in_that_of_the_base(make, tmp_path):
    base, edited = make("base", "F32"), make("edited", "BF16", EDIT)
    made = delta_of(base, edited, tmp_path / "d", exact=True)
    ours = numbers(applied(base, tmp_path / "d", tmp_path / "o").path)
    for name, values in numbers(edited).items():
        np.testing.assert_array_equal(ours[name], values)
    assert made.off == (0, 0.0)


def test_values_that_the_dtype_of_the_base_does_not_hold_are_counted_and_never_exact(
    make, tmp_path
):
    base, edited = make("base", "F16"), make("edited", "F32", EDIT)
    made = delta_of(base, edited, tmp_path / "d")
    ours, wanted = numbers(applied(base, tmp_path / "d", tmp_path / "o").path), numbers(edited)
    differ = sum(int((ours[name] != wanted[name]).sum()) for name in made.entries)
    worst = max(float(np.abs(ours[name] - wanted[name]).max()) for name in made.entries)
    assert made.off == (differ, pytest.approx(worst)) and differ > 0
    with pytest.raises(Incompatible, match="F16, does not hold: no delta is exact there"):
        delta_of(base, edited, tmp_path / "d", exact=True)


def test_the_change_of_a_bias_alone_has_a_key_that_no_module_has(make, tmp_path):
    base = make("base")
    alone = delta_of(base, make("edited", changes={BIAS: EDIT[BIAS]}), tmp_path / "d")
    assert alone.entries[BIAS].key == "diffusion_model.input_blocks.1.0.in_layers.2.diff_b"
    both = {name: EDIT[name] for name in (CONV, BIAS)}
    beside = delta_of(base, make("edited", changes=both), tmp_path / "d")
    assert beside.entries[BIAS].key.startswith("lora_unet_")


@settings(deadline=None, max_examples=60)
@given(old=arrays(np.uint16, 12), new=arrays(np.uint16, 12), dtype=st.sampled_from(["F16", "BF16"]))
def test_a_replacement_restores_any_bits(old, new, dtype):
    change = Replacement(old.view(np.uint8), new.view(np.uint8), dtype)
    info = TensorInfo("x", dtype, (3, 4), 0, 24)
    assert bytes(patched(change.old, info, change, 1)) == new.tobytes()
    assert bytes(patched(change.new, info, change, -1)) == old.tobytes()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 99), rank=st.integers(1, 6), start=st.integers(0, 90))
def test_a_stretch_of_factors_is_that_of_their_product(seed, rank, start):
    rng = np.random.default_rng(seed)
    up, down = (rng.standard_normal(s).astype(np.float32) for s in ((9, rank), (rank, 11)))
    whole = (up.astype(np.float64) @ down.astype(np.float64)).reshape(-1) * 0.5
    stretch = LowRank(up, down, 0.5).stretch(start, min(start + 25, 99))
    np.testing.assert_allclose(stretch, whole[start : start + 25], rtol=1e-12, atol=1e-12)


def test_the_same_edit_gives_the_same_bytes(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    delta_of(base, edited, tmp_path / "d")
    first = (tmp_path / "d").read_bytes()
    delta_of(base, edited, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == first


def test_the_ledger_follows_the_edit_there_and_back(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT, lines=[ERASED])
    delta_of(base, edited, tmp_path / "d", exact=True)
    with Checkpoint(tmp_path / "d") as file:
        assert file.ledger == [ERASED]
    there = applied(base, tmp_path / "d", tmp_path / "there")
    with Checkpoint(there.path) as result, Checkpoint(base) as old:
        assert result.ledger[0] == ERASED
        assert result.ledger[1]["operation"] == "apply"
        assert result.ledger[1]["parent_sha256"] == old.data_sha256()
        assert result.metadata["author"] == "somebody"
    back = applied(there.path, tmp_path / "d", tmp_path / "back", reverse=True)
    with Checkpoint(back.path) as result:
        assert result.ledger == []


def test_taking_out_an_edit_under_later_ones_leaves_their_entries_and_says_so(make, tmp_path):
    later = ERASED | {"concepts": ["Monet"]}
    base, edited = make("base"), make("edited", changes=EDIT, lines=[ERASED])
    delta_of(base, edited, tmp_path / "d", exact=True)
    both = EDIT | {TEXT: dense(SHAPES[TEXT])}
    twice = make("twice", changes=both, lines=[ERASED, later])
    back = applied(twice, tmp_path / "d", tmp_path / "back", reverse=True)
    with Checkpoint(back.path) as result, Checkpoint(twice) as parent:
        kept, gone, line = result.ledger
        assert kept["concepts"] == ["Monet"] and gone == ERASED | {"branch": True}
        assert line["operation"] == "apply" and line["taken_out"] == [digest(ERASED)]
        assert line["parent_sha256"] == parent.data_sha256()
    assert back.elsewhere and not back.verified


def test_a_base_that_differs_only_elsewhere_fits_and_its_own_digest_is_recorded(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    delta_of(base, edited, tmp_path / "d", exact=True)
    other = make("other", changes={TEXT: dense(SHAPES[TEXT])})
    result = applied(other, tmp_path / "d", tmp_path / "o")
    assert result.elsewhere and not result.verified
    want = stored(edited) | {TEXT: stored(other)[TEXT]}
    assert stored(result.path) == want
    with Checkpoint(result.path) as written, Checkpoint(other) as parent:
        assert written.ledger[-1]["parent_sha256"] == parent.data_sha256()


def test_in_place_is_safe_even_if_the_file_is_written_twice(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    delta_of(base, edited, tmp_path / "d", exact=True)
    other = make("other", changes={TEXT: dense(SHAPES[TEXT])})
    digest = Checkpoint(other).data_sha256()
    with pytest.raises(OutputExists):
        applied(other, tmp_path / "d", other)
    with Checkpoint(other) as old, Checkpoint(tmp_path / "d") as changes:
        apply(old, changes, other, in_place=True)
    assert stored(other)[KEY] == stored(edited)[KEY]
    assert Checkpoint(other).ledger[-1]["parent_sha256"] == digest


def test_another_base_is_refused_by_name_and_fuzz_takes_it(make, tmp_path):
    base, edited = make("base", "F32"), make("edited", "F32", EDIT)
    delta_of(base, edited, tmp_path / "d")
    other = make("other", "F32", {KEY: dense(SHAPES[KEY], seed=9)})
    with pytest.raises(DoesNotFit, match=r"1 of 5 tensors \(.*attn2.to_k.weight\) are not what"):
        applied(other, tmp_path / "d", tmp_path / "o")
    assert not (tmp_path / "o").exists()
    result = applied(other, tmp_path / "d", tmp_path / "o", fuzz=True)
    assert result.application.fit.differing == (KEY,) and result.application.off is None
    moved = numbers(other)[KEY] + read_delta(tmp_path / "d")[KEY]
    np.testing.assert_allclose(numbers(result.path)[KEY], moved, rtol=1e-6, atol=1e-8)


def test_taking_out_what_is_not_in_is_refused(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    delta_of(base, edited, tmp_path / "d", exact=True)
    with pytest.raises(DoesNotFit, match="5 of 5 tensors"):
        applied(base, tmp_path / "d", tmp_path / "o", reverse=True)
    with pytest.raises(DoesNotFit, match="5 of 5 tensors"):
        applied(edited, tmp_path / "d", tmp_path / "o")


def test_a_delta_for_another_family_or_dtype_does_not_fit_not_even_with_fuzz(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    delta_of(base, edited, tmp_path / "d")
    with pytest.raises(DoesNotFit, match="have another shape or dtype"):
        applied(make("other", "BF16"), tmp_path / "d", tmp_path / "o", fuzz=True)
    small = tmp_path / "small.safetensors"
    with Checkpoint(base) as old:
        from ckptedit.files import write

        write(small, [old[VAE]], [old.raw(VAE)], {})
    with pytest.raises(DoesNotFit, match="the latter lacks 4 of 5 tensors"):
        applied(small, tmp_path / "d", tmp_path / "o", fuzz=True)


def test_a_delta_that_was_tampered_with_writes_nothing(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    delta_of(base, edited, tmp_path / "d")
    content = bytearray((tmp_path / "d").read_bytes())
    content[-2] ^= 1
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(BadCheckpoint, match="damaged: its data has not its"):
        applied(base, tmp_path / "d", tmp_path / "o", strength=0.5)
    assert not (tmp_path / "o").exists()


def test_nan_is_refused_on_either_side_and_in_the_delta(make, tmp_path):
    bad = numbers(make("base"))[KEY].copy()
    bad[3, 3] = np.nan
    base = make("base")
    broken = tmp_path / "broken.safetensors"
    with Checkpoint(base) as old:
        write_edited(broken, old, {KEY: bad.astype(np.float16).reshape(-1).view(np.uint8)})
    for pair in ((base, broken), (broken, base)):
        with pytest.raises(BadCheckpoint, match=r"broken.* holds NaN or Inf"):
            delta_of(*pair, tmp_path / "d")
    with Checkpoint(base) as old, pytest.raises(Overflow, match="NaN"):
        write_delta(old, {KEY: bad}, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_result_that_overflows_its_dtype_is_refused(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    delta_of(base, edited, tmp_path / "d")
    with pytest.raises(Overflow):
        applied(base, tmp_path / "d", tmp_path / "o", strength=1e9)
    for strength in (float("nan"), float("inf")):
        with pytest.raises(BadParam, match="finite"):
            applied(base, tmp_path / "d", tmp_path / "o", strength=strength)


def test_tensors_added_removed_or_reshaped_are_no_delta(make, tmp_path):
    base = make("base")
    with pytest.raises(Incompatible, match="nothing differs"):
        delta_of(base, base, tmp_path / "d")
    added = make("added", replace={"extra.weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(Incompatible, match=r"extra\.weight that .* lacks.*--ignore added"):
        delta_of(base, added, tmp_path / "d")
    with pytest.raises(Incompatible, match=r"lacks the tensor extra\.weight.*--ignore removed"):
        delta_of(added, base, tmp_path / "d")
    with pytest.raises(Incompatible, match="--ignore reshaped"):
        delta_of(base, make("r", replace={TEXT: np.zeros((2, 2), np.float32)}), tmp_path / "d")
    with pytest.raises(BadParam, match="tolerance"):
        delta_of(base, added, tmp_path / "d", tolerance=1.5)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda m: m.update({"ckptedit.format": "delta/9"}), "delta/9"),
        (lambda m: m.update({"ckptedit.tensors": "{"}), "not valid JSON"),
        (lambda m: m.update({"ckptedit.tensors": "[]"}), "not a JSON object"),
        (lambda m: m.pop("ckptedit.tensors"), "not valid JSON"),
        (lambda m: change_entry(m, key="nowhere"), "lacks its tensor nowhere"),
        (lambda m: change_entry(m, form="guess"), "unknown form"),
        (lambda m: change_entry(m, dtype="F99"), "unknown form 'lora' or dtype 'F99'"),
        (lambda m: change_entry(m, shape=[1, 2]), r"for a tensor \[1, 2\]"),
        (lambda m: change_entry(m, shape="x"), "in its description"),
        (lambda m: change_entry(m, off=[1]), "in its description"),
        (lambda m: m.pop("ckptedit.format"), "is no delta"),
    ],
)
def test_metadata_that_lies_is_refused(make, tmp_path, spoil, message):
    base, edited = make("base"), make("edited", changes={KEY: EDIT[KEY]})
    delta_of(base, edited, tmp_path / "d")
    bad = tmp_path / "bad.safetensors"
    with Checkpoint(tmp_path / "d") as file:
        metadata = dict(file.metadata)
        spoil(metadata)
        write_edited(bad, file, {}, metadata=metadata)
    with Checkpoint(bad) as file, pytest.raises(BadCheckpoint, match=message):
        open_delta(file)


def change_entry(metadata, **fields):
    tensors = json.loads(metadata["ckptedit.tensors"])
    tensors[KEY] |= fields
    metadata["ckptedit.tensors"] = json.dumps(tensors)


def test_a_gram_matrix_rides_along(make, tmp_path):
    base, gram = make("base"), np.eye(256, dtype=np.float32)
    with Checkpoint(base) as old:
        write_delta(old, {KEY: EDIT[KEY]}, tmp_path / "d", gram=gram)
    with Checkpoint(tmp_path / "d") as file, Checkpoint(base) as old:
        np.testing.assert_array_equal(open_delta(file).gram(), gram)
        assert plan(old, file).fit.exact


def test_what_no_delta_holds_is_left_out_where_it_is_ignored(make, tmp_path):
    """One side without position_ids, with an averaged copy, with one token more."""
    base = make("base", replace={"token.weight": np.zeros((5, 4), np.float32)})
    more = {"token.weight": np.ones((6, 4), np.float32), "model_ema.x": np.ones(3, np.float32)}
    edited = make("edited", changes={KEY: EDIT[KEY]}, replace=more)
    with Checkpoint(edited) as full:
        kept = [name for name in full if name != IDS]
        bare = tmp_path / "bare.safetensors"
        write(bare, [full[name] for name in kept], [full.raw(name) for name in kept], {})
    every = ("added", "removed", "reshaped")
    for left in every:
        with pytest.raises(Incompatible, match=f"--ignore {left}"):
            delta_of(base, bare, tmp_path / "d", ignore=[kind for kind in every if kind != left])
    assert delta_of(base, bare, tmp_path / "d", ignore=every).entries.keys() == {KEY}
    there = applied(base, tmp_path / "d", tmp_path / "there")
    assert there.verified and stored(there.path)[IDS] == stored(base)[IDS]


def test_only_the_tensors_that_keys_pick_are_in_the_delta(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    made = delta_of(base, edited, tmp_path / "d", keys=["**.attn2.**", "!**.to_v.**"])
    assert made.entries.keys() == {KEY}
    assert applied(base, tmp_path / "d", tmp_path / "there").verified
    with pytest.raises(UnknownName, match="keys pick"):
        delta_of(base, edited, tmp_path / "d", keys=["nothing"])


def test_what_is_open_stays_open_and_names_do_as_well(make, tmp_path):
    base, edited = make("base"), make("edited", changes=EDIT)
    write_delta(base, edited, tmp_path / "d", exact=True)
    by_name = apply(base, tmp_path / "d", tmp_path / "a")
    with Checkpoint(base) as start, Checkpoint(tmp_path / "d") as delta:
        assert apply(start, delta, tmp_path / "b").sha256 == by_name.sha256
        assert read_delta(delta).keys() == read_delta(tmp_path / "d").keys() == EDIT.keys()
        assert export(delta, tmp_path / "e", format="lycoris").tensors
        assert start.raw(KEY).size and delta.raw(next(iter(delta))).size


def test_the_python_example_of_the_docs_works(make, tmp_path, monkeypatch):
    make("base"), make("edited", changes=EDIT)
    monkeypatch.chdir(tmp_path)
    page = Path(ckptedit.__file__).parent.parent / "docs" / "delta.md"
    names: dict[str, object] = {}
    exec(page.read_text().split("```python")[1].split("```")[0], names)
    assert names["changes"].keys() == EDIT.keys() and not names["made"].off[0]
    once = apply("base.safetensors", "vangogh.safetensors", "once.safetensors")
    assert stored("again.safetensors")[KEY] == stored(once.path)[KEY]
