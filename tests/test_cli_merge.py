"""`ckptedit merge` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from merging.conftest import base, edits, make, numbers, stored  # noqa: F401
from refusal import refused
from typer.testing import CliRunner

import ckptedit
from ckptedit.cli import app
from ckptedit.cli.sizes import as_bytes
from ckptedit.files import Checkpoint, Spec, encode, write
from ckptedit.files.dtypes import largest

KEYS = "**.attn2.to_[kv].weight"


def run(*args):
    return CliRunner().invoke(app, ["merge", *map(str, args)])


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(ckptedit.__file__).parent.parent))


def test_writes_beside_you_and_prints_the_path_alone(base, edits, tmp_path):  # noqa: F811
    result = run(base, *edits)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "base.merge.safetensors\n", "")
    assert stored(tmp_path / "base.merge.safetensors").keys() == stored(base).keys()


def test_json_has_the_agreed_names(base, edits, tmp_path):  # noqa: F811
    out = tmp_path / "o.safetensors"
    result = run(base, *edits, "-o", out, "--json", "-m", "ties", "--density", "0.5")
    report = json.loads(result.stdout)
    assert report["schema_version"] == 1 and report["output"] == str(out)
    with Checkpoint(out) as checkpoint:
        assert report["sha256"] == checkpoint.data_sha256()
    assert report["method"] == "ties"
    assert report["params"] == {
        "density": 0.5, "trim_scope": "tensor", "vote": "mass", "compat": "none"
    }  # fmt: skip
    assert [edit["weight"] for edit in report["edits"]] == [1, 1, 1]
    assert report["counts"]["conflicts"] > 0 and report["drift"]["relative"] > 0


def test_a_negative_weight_takes_an_edit_out_again(base, edits):  # noqa: F811
    """base + edit, then minus the same edit, is the base but for the rounding of the files."""
    run(base, edits[0], "-m", "task", "-o", "there.safetensors")
    run("there.safetensors", base, "-m", "task", "-o", "back.safetensors", "--keys", KEYS)
    back, start = numbers("back.safetensors"), numbers(base)
    for name in start:
        if "attn2" in name:
            np.testing.assert_array_equal(back[name], start[name])
    run(base, edits[0], "-m", "task", "-w", "-1", "-o", "minus.safetensors")
    edited, minus = numbers(edits[0]), numbers("minus.safetensors")
    for name in ("logit_scale", "model.diffusion_model.time_embed.0.weight"):
        np.testing.assert_allclose(edited[name] + minus[name], 2 * start[name], rtol=1e-5)


def test_every_choice_of_ties_can_be_named(base, edits):  # noqa: F811
    result = run(base, *edits, "--trim-scope", "model", "--vote", "count", "--density", 0.4,
                 "--json")  # fmt: skip
    params = json.loads(result.stdout)["params"]
    assert params == {"density": 0.4, "trim_scope": "model", "vote": "count", "compat": "none"}


@pytest.mark.parametrize(
    "tool, scope, vote",
    [
        ("reference", "model", "mass"),
        ("mergekit", "tensor", "mass"),
        ("sd-mecha", "tensor", "count"),
    ],
)
def test_compat_names_what_the_other_tool_does(base, edits, tool, scope, vote):  # noqa: F811
    result = run(base, *edits, "--ties-compat", tool, "--json")
    params = json.loads(result.stdout)["params"]
    assert params == {"density": 0.2, "trim_scope": scope, "vote": vote, "compat": tool}


def test_parameters_of_any_method_by_name(base, edits):  # noqa: F811
    result = run(base, *edits, "-m", "della", "-p", "epsilon=0.1", "-p", "combine=sum", "--seed",
                 5, "--json")  # fmt: skip
    params = json.loads(result.stdout)["params"]
    assert params == {"density": 0.5, "epsilon": 0.1, "combine": "sum", "seed": 5}


def test_notes_go_to_stderr_and_quiet_silences_them(base, make):  # noqa: F811
    part = make("part", 1, {"logit_scale": None})
    loud, quiet = run(base, part), run(base, part, "-q", "--force")
    assert "part.safetensors lacks 1 of 10 tensors (logit_scale)" in loud.stderr
    assert loud.stdout == "base.merge.safetensors\n" and quiet.stderr == ""


def test_nan_in_what_is_copied_is_refused_unless_allowed(make, tmp_path):  # noqa: F811
    sick = {"sick": ("F16", np.array([0x7C01, 0], np.uint16).tobytes(), (2,))}
    base, edit = make("base", 0, sick), make("edit", 1, sick)  # noqa: F811
    refused(run(base, edit), "tensor sick holds NaN or Inf; --allow-nonfinite copies it as it is")
    assert not (tmp_path / "base.merge.safetensors").exists()
    allowed = run(base, edit, "--allow-nonfinite", "--json")
    assert json.loads(allowed.stdout)["nonfinite"] == ["sick"]
    note = "note: 1 of 11 tensors (sick) hold NaN or Inf, and were copied as they are\n"
    assert allowed.stderr == note


def test_pipes_carry_checkpoints(base, edits, tmp_path):  # noqa: F811
    run(base, *edits, "-o", "file.safetensors")
    command = [sys.executable, "-m", "ckptedit", "merge", "-", *map(str, edits), "-o", "-"]
    piped = subprocess.run(command, input=base.read_bytes(), capture_output=True, check=True)
    assert piped.stdout == (tmp_path / "file.safetensors").read_bytes()


def test_merges_into_shards(base, edits, tmp_path):  # noqa: F811
    run(base, *edits, "-o", "one.safetensors")
    result = run(base, *edits, "-o", "many.safetensors.index.json", "--shard-size", "200")
    assert result.exit_code == 0, result.stderr
    assert stored(tmp_path / "many.safetensors.index.json") == stored(tmp_path / "one.safetensors")


@pytest.mark.parametrize(
    "text, count",
    [("200", 200), ("5GB", 5 * 10**9), ("1.5 mb", 1_500_000), ("2GiB", 2 << 30), ("8k", 8000)],
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert as_bytes(text) == count


@pytest.mark.parametrize(
    "args, message",
    [
        (["--shard-size", "5 apples"], "'5 apples' is not a size such as 5GB"),
        (["--shard-size", "-1"], "'-1' is not a size"),
        (["-m", "tie"], "no merge method is called 'tie'; there are: add-difference, "),
        (["-m", "linear", "--density", "0.5"], "linear has no parameter density; it has none"),
        (["--density", "1.5"], "density must be in (0, 1], got 1.5"),
        (["-p", "density"], "'density' is not of the form name=value"),
        (
            ["--density", ".5", "-p", "density=.7"],
            "density is given twice: 0.5 by its option, .7 by",
        ),
        (["--ties-compat", "peft", "-p", "compat=none"], "compat is given twice: peft by its"),
        (["-m", "dare", "--seed", "1", "-p", "seed=2"], "seed is given twice: 1 by its option, 2"),
        (["-p", "density=1", "-p", "density=.7"], "density is given twice: 1 and .7"),
        (["--keys", "**.attn3.**"], "the pattern '**.attn3.**' fits none of the 10 tensors"),
        (["--block", "IN05=0"], "the base has no block 'IN05'; it has BASE, IN01, M00, OUT03"),
        (["--block", "1,2"], "26 block factors are needed"),
        (["--block", "IN77=1"], "no block is called 'IN77'"),
        (["-w", "1"], "3 edits need 3 weights, got 1"),
        (["-m", "slerp"], "slerp merges 1 to 2 edits, got 3"),
        (["-m", "slerp", "-p", "t=inf"], "t must be a finite number, got inf"),
        (["-m", "fuse"], "carries no Gram matrix"),
        (["-o", "base.safetensors"], "base.safetensors is an input; --in-place overwrites it"),
        (["-o", "-", "--json"], "--json and -o - both want stdout"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(base, edits, args, message):  # noqa: F811
    refused(run(base, *edits, *args), message)


def test_never_imports_torch(base, edits):  # noqa: F811
    code = f"""if True:
        import sys
        from typer.testing import CliRunner
        from ckptedit.cli import app
        result = CliRunner().invoke(app, {["merge", *map(str, [base, *edits])]})
        assert result.exit_code == 0, result.output
        assert not {{"torch", "diffusers", "transformers"}} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_what_goes_beyond_its_dtype_is_refused_or_saturated_and_counted(tmp_path, dtype):
    top, paths = largest(dtype), [tmp_path / "old.safetensors", tmp_path / "new.safetensors"]
    for path, share in zip(paths, (0.5, 1), strict=True):
        stored = encode(np.array([1.0, -share * top]), dtype, name="w")
        write(path, [Spec("w", dtype, (2,))], [stored], {})
    options = (*paths, "-m", "task", "--scale", "1.5", "-o", tmp_path / "out.safetensors")
    refused(run(*options), "among the new values" if dtype == "BF16" else "does not fit into its")
    done = run(*options, "--saturate")
    assert "1 values went beyond their dtype" in done.stderr
    with Checkpoint(tmp_path / "out.safetensors") as out:
        assert out.values("w").tolist() == [1.0, -top]
        assert out.ledger[-1]["options"]["saturate"] is True
