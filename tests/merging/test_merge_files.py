"""Whole checkpoints in, one checkpoint out."""

import numpy as np
import pytest

from ckptedit.deltas import write_delta
from ckptedit.errors import BadCheckpoint, BadParam, Incompatible, OutputExists, Overflow
from ckptedit.files import Checkpoint, encode, ledger
from ckptedit.files.history import digest
from ckptedit.merging import METHODS, copying, stack, stream
from ckptedit.merging import merge as merge_files
from ckptedit.merging.task_vectors import count_differing
from merging.conftest import FLOATS, INTEGERS, numbers, save, stored

KEY = "model.diffusion_model.input_blocks.1.1.attn2.to_k.weight"
VALUE = "model.diffusion_model.output_blocks.3.1.attn2.to_v.weight"
TWO = {"slerp", "add-difference"}


@pytest.fixture
def run(base, edits, tmp_path):
    """run(method="task", ...) -> (report, output); other settings of a Recipe by name."""

    def merge(files=edits, out="out", **settings):
        target = tmp_path / f"{out}.safetensors"
        report = merge_files(base, files, target, force=True, **settings)
        return report, target

    return merge


def methods(*without):
    return [name for name in METHODS if name not in without]


@pytest.mark.parametrize("name", methods("fuse"))
def test_the_output_has_the_bases_names_order_shapes_and_dtypes(run, base, edits, name):
    _, out = run(edits[: 2 if name in TWO else 3], method=name)
    assert described(out) == described(base)


def described(path):
    with Checkpoint(path) as checkpoint:
        return [(name, checkpoint[name].dtype, checkpoint[name].shape) for name in checkpoint]


@pytest.mark.parametrize("name", methods("fuse"))
def test_any_number_of_threads_writes_the_same_bytes(run, edits, name, monkeypatch):
    monkeypatch.setattr(stack, "STRETCH", 10)  # many stretches and jobs, even here
    monkeypatch.setattr(stream, "RUN", 2)
    monkeypatch.setattr(copying, "COPY", 16)
    files = edits[: 2 if name in TWO else 3]
    written = [run(files, f"out{n}", method=name, threads=n)[1].read_bytes() for n in (1, 2, 5)]
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize("scope", ["tensor", "model"])
def test_ties_in_small_stretches_is_ties_in_one(run, monkeypatch, scope):
    params = {"trim_scope": scope, "density": 0.3}
    whole = run(out="whole", params=params)[1].read_bytes()
    monkeypatch.setattr(stack, "STRETCH", 7)
    assert run(out="parts", params=params)[1].read_bytes() == whole


def test_task_arithmetic_is_rounded_once(run, base, edits):
    _, out = run(method="task", weights=(0.5, -1, 2), scale=0.3)
    start, tuned, merged = numbers(base), [numbers(e) for e in edits], stored(out)
    for name, (dtype, _) in FLOATS.items():
        kind = np.float64 if dtype == "F64" else np.float32
        change = np.zeros_like(start[name], np.float32)
        for weight, edit in zip((0.5, -1, 2), tuned, strict=True):
            change += np.float32(weight) * (edit[name] - start[name]).astype(np.float32)
        exact = start[name].astype(kind) + change * np.float32(0.3)
        assert merged[name] == encode(exact, dtype, name=name).tobytes(), name


def test_tensors_that_no_edit_touches_are_copied_bit_by_bit(run, make, base):
    odd = np.array([0x7C01, 0xFE55, 0x8000], np.uint16).tobytes()  # NaN payloads, -0
    start = make("start", 0, {"odd": ("F16", odd, (3,))})
    same_key = {"odd": ("F16", odd, (3,)), KEY: ("F16", numbers(start)[KEY])}
    edit = make("edit", 1, same_key)
    out = start.with_name("merged.safetensors")
    report = merge_files(start, [edit], out, allow_nonfinite=True)
    assert stored(out)["odd"] == odd
    assert stored(out)[KEY] == stored(start)[KEY]
    assert report.tensors["merged"] == len(FLOATS) - 2  # KEY is equal, and one is empty


def test_an_empty_tensor_of_another_dtype_counts_as_untouched(tmp_path):
    """And the tensors after it keep their places."""
    empty, numbers_of = np.zeros((0, 4)), {"w": np.arange(6.0), "x": np.ones(3)}
    start = save(tmp_path / "start.safetensors", {
        "a": ("F32", empty), "w": ("F32", numbers_of["w"]), "b": ("F64", empty),
        "x": ("F32", numbers_of["x"])})  # fmt: skip
    edit = save(tmp_path / "edit.safetensors", {
        "a": ("F16", empty), "w": ("F32", numbers_of["w"] * 2), "b": ("F32", empty),
        "x": ("F32", numbers_of["x"] * 3)})  # fmt: skip
    out = tmp_path / "out.safetensors"
    report = merge_files(start, [edit], out, method="task")
    assert described(out) == described(start)
    assert stored(out) == stored(edit) and report.tensors["merged"] == 2


@pytest.mark.parametrize("method", ["task", "ties"])
def test_an_edit_that_leaves_a_tensor_alone_adds_nothing_to_it(run, make, base, edits, method):
    without = make("without", 2, {KEY: ("F16", numbers(base)[KEY])})
    alone = stored(run(edits[:1], "alone", method=method)[1])
    assert stored(run([edits[0], without], method=method)[1])[KEY] == alone[KEY]
    assert stored(run([without, edits[0]], method=method)[1])[KEY] == alone[KEY]


def test_edits_equal_to_the_base_write_the_base(run, base):
    report, out = run([base, base])
    assert stored(out) == stored(base)
    assert report.tensors == {"merged": 0, "copied": len(FLOATS) + len(INTEGERS), "added": 0}
    assert report.drift == {"l2": 0.0, "relative": 0.0}


def test_only_the_chosen_tensors_are_merged(run, base):
    report, out = run(keys=["**.attn2.to_[kv].weight"])
    changed = {n for n, raw in stored(out).items() if raw != stored(base)[n]}
    assert changed == {KEY, VALUE} and report.tensors["merged"] == 2


def test_block_factors_scale_what_is_added(run, base, edits):
    _, half = run(edits[:1], method="linear", blocks={"IN01": 0.25, "OUT03": 0, "BASE": 1})
    start, edit, merged = numbers(base), numbers(edits[0]), numbers(half)
    np.testing.assert_allclose(merged[KEY], 0.75 * start[KEY] + 0.25 * edit[KEY], atol=1e-3)
    assert stored(half)[VALUE] == stored(base)[VALUE]
    assert stored(half)["logit_scale"] == stored(edits[0])["logit_scale"]


def test_an_integer_tensor_that_differs_is_an_error(run, make):
    other = make("other", 1, {"position_ids": ("I64", np.arange(7)[::-1].copy())})
    with pytest.raises(Incompatible) as caught:
        run([other])
    assert "position_ids is I64 in " in str(caught.value)
    assert "and 6 of 7 values differ: indices cannot be merged" in str(caught.value)
    assert "; --keys '!position_ids' leaves it as it is in " in str(caught.value)
    _, out = run([other], keys=["!position_ids"])
    assert stored(out)["position_ids"] == np.arange(7).tobytes()


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "I32", "U8", "F64"])
def test_equal_integers_in_another_dtype_are_no_change(run, make, base, dtype):
    kind = encode_type(dtype)
    other = make("other", 1, {"position_ids": (dtype, np.arange(7).astype(kind))})
    _, out = run([other])
    assert stored(out)["position_ids"] == stored(base)["position_ids"]
    assert described(out) == described(base)


def encode_type(dtype):
    return {"I32": np.int32, "U8": np.uint8}.get(dtype, np.float32)


def test_other_integers_in_another_dtype_are_an_error_that_counts_them(run, make):
    bits = np.array([0, 1, 2, 3, 4, 5.5, np.nan], np.float32)
    other = make("other", 1, {"position_ids": ("F32", bits.tobytes(), (7,))})
    match = r"is I64 in .*base.* and F32 in .*other.*, and 2 of 7 values differ"
    with pytest.raises(Incompatible, match=match):
        run([other])


def test_a_large_integer_is_not_taken_for_the_float_next_to_it():
    large = np.array([2**53, 2**53 + 1, -1])
    assert count_differing(large, large.astype(np.float64)) == 1
    assert count_differing(large.astype(np.float64), large) == 1
    assert count_differing(large, large.astype(np.uint64)) == 1


def test_another_shape_is_an_error_that_names_both(run, make):
    other = make("other", 1, {KEY: ("F16", np.zeros((12, 9)))})
    with pytest.raises(Incompatible, match=r"is \[12, 8\] in .*base.*, but \[12, 9\] in .*other"):
        run([other])


def test_another_float_dtype_is_fine(run, make, edits):
    wide = make("wide", 1, {KEY: ("F32", numbers(edits[0])[KEY])})
    assert stored(run([wide], "a")[1]) == stored(run(edits[:1], "b")[1])


def test_a_tensor_that_an_edit_lacks_stays_and_is_reported(run, make, base):
    lacking = make("lacking", 1, {KEY: None})
    report, out = run([lacking])
    assert stored(out)[KEY] == stored(base)[KEY]
    assert report.notes == [
        f"{lacking} lacks 1 of 10 tensors ({KEY}): it counts as not touching them"
    ]


def test_a_tensor_that_the_base_lacks_is_an_error(run, make):
    more = make("more", 1, {"extra": ("F32", np.ones(3))})
    with pytest.raises(
        Incompatible, match=r"1 of 11 tensors \(extra\), which .* lacks; --extra keep"
    ):
        run([more])


@pytest.mark.parametrize(
    "fate, there, note", [("keep", True, "added"), ("drop", False, "left out")]
)
def test_a_tensor_that_the_base_lacks_is_kept_or_dropped_on_request(run, make, fate, there, note):
    more = make("more", 1, {"extra": ("F32", np.ones(3))})
    report, out = run([more], extra=fate)
    assert ("extra" in stored(out)) == there
    assert note in report.notes[0]


def test_two_edits_that_add_different_tensors_of_one_name_are_an_error(run, make):
    files = [make(f"m{i}", i, {"extra": ("F32", np.full(3, float(i)))}) for i in (1, 2)]
    with pytest.raises(Incompatible, match="add different tensors extra"):
        run(files, extra="keep")


def test_an_edit_of_another_model_altogether_is_an_error(run, tmp_path):
    other = save(tmp_path / "llm.safetensors", {"lm_head.weight": ("F32", np.ones((2, 2)))})
    with pytest.raises(Incompatible, match="no tensor in common"):
        run([other], extra="drop")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_in_an_edit_are_an_error_that_names_file_and_tensor(run, make, tmp_path, bad):
    path = make("sick", 1)
    with Checkpoint(path) as checkpoint:
        place = checkpoint[KEY].offset
    data = bytearray(path.read_bytes())
    data[place : place + 2] = np.float16(bad).tobytes()
    path.write_bytes(data)
    with pytest.raises(BadCheckpoint, match=r"sick.*attn2\.to_k\.weight holds NaN or Inf"):
        run([path])
    assert not (tmp_path / "out.safetensors").exists()


def test_overflow_of_the_stored_dtype_is_an_error(run, tmp_path):
    with pytest.raises(Overflow, match="does not fit into its"):
        run(method="task", scale=1e7)
    assert not (tmp_path / "out.safetensors").exists()


def test_the_ledger_tells_recipe_inputs_and_their_concepts(make, tmp_path):
    first = ledger.append({}, ledger.entry("erase", {}, "0" * 64, concepts=["Cubism"]))
    second = [ledger.append(first, ledger.entry("erase", {}, "1" * 64, concepts=[c]))
              for c in ("Van Gogh", "Monet")]  # fmt: skip
    base = make("base", 0, metadata=first)
    edits = [make(f"e{i}", i, metadata=m) for i, m in enumerate(second, 1)]
    recipe = {"method": "dare", "params": {"density": "0.25"}, "weights": (1, 0.5), "seed": 3}
    merge_files(base, edits, tmp_path / "out.safetensors", **recipe)
    with Checkpoint(tmp_path / "out.safetensors") as out, Checkpoint(base) as start:
        old, first, second, line = out.ledger
        assert line["parent_sha256"] == start.data_sha256()
    assert old["concepts"] == ["Cubism"]
    assert line["operation"] == "merge" and line["seed"] == 3
    assert line["concepts"] == ["Van Gogh", "Monet"]
    params = {"density": 0.25, "combine": "sum", "seed": 3}
    assert line["options"] == {
        "method": "dare", "params": params, "weights": [1.0, 0.5], "scale": 1.0
    }  # fmt: skip
    assert [each["weight"] for each in line["inputs"]] == [1.0, 0.5]
    assert [each["ledger"] for each in line["inputs"]] == [[digest(first)], [digest(second)]]
    assert [other["concepts"] for other in (first, second)] == [["Van Gogh"], ["Monet"]]
    assert first["branch"] and second["branch"] and "branch" not in old | line
    with Checkpoint(edits[1]) as edit:
        assert line["inputs"][1]["sha256"] == edit.data_sha256()


def test_foreign_metadata_of_the_base_stays(run):
    with Checkpoint(run()[1]) as out:
        assert out.metadata["author"] == "somebody"


def test_the_report_has_norms_and_cosines(run, base, edits):
    report, _ = run(method="task", weights=(2, 1, 1))
    start = numbers(base)
    deltas = [np.concatenate([(numbers(e)[n] - start[n]).ravel() for n in FLOATS]) for e in edits]
    merged = 2 * deltas[0] + deltas[1] + deltas[2]
    whole = np.concatenate([start[n].ravel() for n in FLOATS])
    assert report.drift["l2"] == pytest.approx(np.linalg.norm(merged), rel=1e-5)
    relative = np.linalg.norm(merged) / np.linalg.norm(whole)
    assert report.drift["relative"] == pytest.approx(relative, rel=1e-5)
    for each, delta in zip(report.edits, deltas, strict=True):
        cosine = delta @ merged / np.linalg.norm(delta) / np.linalg.norm(merged)
        assert each["l2"] == pytest.approx(np.linalg.norm(delta), rel=1e-5)
        assert each["cosine"] == pytest.approx(cosine, rel=1e-4)


def test_an_error_of_a_method_names_the_tensor(run):
    with pytest.raises(Incompatible) as caught:
        run(method="fuse")
    assert any("while merging" in note for note in caught.value.__notes__)


def test_nothing_to_merge_is_an_error(run):
    with pytest.raises(Incompatible, match="at least one edit"):
        run([])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"weights": (1, 2)}, "3 edits need 3 weights, got 2"),
        ({"weights": (1, 2, float("nan"))}, "weights must be finite"),
        ({"scale": float("inf")}, "scale must be finite"),
        ({"threads": 0}, "threads must be 1 or more"),
        ({"extra": "ignore"}, "extra must be error, keep or drop"),
        ({"method": "task", "seed": 1}, "task draws no random numbers"),
        ({"params": {"densty": 1}}, "ties has no parameter densty; it has density, trim_scope"),
        ({"params": {"density": "much"}}, "density must be a number"),
        ({"params": {"vote": "loud"}}, "vote must be one of mass, count"),
        ({"params": {"density": "7"}}, r"density must be in \(0, 1\], got 7"),
        ({"method": "add-difference"}, "add-difference merges 2 edits, got 3"),
        ({"method": "linear", "weights": (1, -1, 0)}, "weights, and .* sum to 0"),
        ({"weights": (1, 2, 3), "params": {"compat": "reference"}}, "knows no weights"),
        ({"method": "fuse", "params": {"ridge": -1}}, "ridge must be above 0, got -1"),
        ({"method": "fuse", "weights": (0, 0, 0)}, "all weights are zero"),
        ({"method": "fuse", "params": {"ridge": "inf"}}, "ridge must be a finite number, got inf"),
        ({"params": {"density": float("nan")}}, "density must be a finite number, got nan"),
        ({"method": "dare", "params": {"seed": float("inf")}}, "seed must be a number"),
        ({"weights": (1, 1e300, 1)}, r"weights must be .* to 3.4e\+38, got \[1, 1e\+300, 1\]"),
        ({"scale": -1e300}, r"scale must be finite numbers, up to 3.4e\+38, got \[-1e\+300\]"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_is_read(run, tmp_path, settings, message):
    with pytest.raises(BadParam, match=message) as caught:
        run(["no such file"] * 3, **settings)
    assert not hasattr(caught.value, "__notes__")
    assert not (tmp_path / "out.safetensors").exists()


def test_an_input_is_not_overwritten_unless_asked(base, edits):
    before = base.read_bytes()
    with pytest.raises(OutputExists):
        merge_files(base, edits, base, force=True)
    assert base.read_bytes() == before
    merge_files(base, edits, base, in_place=True)
    assert base.read_bytes() != before


@pytest.mark.parametrize("as_edit", ["a checkpoint", "a delta"])
@pytest.mark.parametrize("method", ["linear", "task", "ties"])
def test_indices_stored_as_floats_keep_the_bases_bytes(make, tmp_path, method, as_edit):
    """An earlier merge made 40.9997 of 41: half of that would be read as 40."""
    ids, drifted = np.arange(77.0), np.arange(77.0) * 0.99999
    base = make("with_ids", replace={"text.position_ids": ("F32", ids)})
    files = [make(f"e{i}", i, {"text.position_ids": ("F32", drifted)}) for i in (1, 2)]
    if as_edit == "a delta":
        files = [delta_of(base, file) for file in files]
    out = tmp_path / "out.safetensors"
    merge_files(base, files, out, method=method)
    assert stored(out)["text.position_ids"] == stored(base)["text.position_ids"]
    assert stored(out)[KEY] != stored(base)[KEY]


@pytest.mark.parametrize("as_edit", ["a checkpoint", "a delta"])
def test_other_indices_are_refused_as_other_integers_are(make, tmp_path, as_edit):
    base = make("with_ids", replace={"text.position_ids": ("F16", np.arange(7.0))})
    edit = make("other", 1, {"text.position_ids": ("F16", np.arange(7.0)[::-1])})
    edit = delta_of(base, edit) if as_edit == "a delta" else edit
    with pytest.raises(Incompatible, match=r"text\.position_ids.* cannot be merged"):
        merge_files(base, [edit], tmp_path / "out", method="task")


def delta_of(base, edited):
    path = edited.with_suffix(".delta.safetensors")
    with Checkpoint(base) as before, Checkpoint(edited) as after:
        write_delta(before, after, path)
    return path


def test_one_edit_needs_no_list_and_what_is_open_stays_open(base, edits, tmp_path):
    one, listed = tmp_path / "one.safetensors", tmp_path / "listed.safetensors"
    merge_files(str(base), str(edits[0]), one, method="task")
    merge_files(base, [edits[0]], listed, method="task")
    assert one.read_bytes() == listed.read_bytes()
    with Checkpoint(base) as start, Checkpoint(edits[0]) as edit:
        merge_files(start, edit, listed, method="task", force=True)
        assert one.read_bytes() == listed.read_bytes() and edit.raw(KEY).size
        with pytest.raises(BadParam, match="ties has no parameter densty"):
            merge_files(start, edit, listed, densty=0.3, force=True)
        with pytest.raises(BadParam, match="density is given twice"):
            merge_files(start, edit, listed, density=0.3, params={"density": 0.3}, force=True)
