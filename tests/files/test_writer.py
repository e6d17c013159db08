"""Writing: only what was edited differs, and the safetensors library reads it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ckptedit.errors import BadParam, Incompatible, OutputExists, Overflow
from ckptedit.files import Checkpoint, Spec, Written, ledger, write, write_edited
from tests.files.conftest import listing, raw_file, same_bits, tensors
from tests.files.test_layout import folder, save, shards, values, write_index

__all__ = ["folder", "shards"]  # fixtures

ROOT = Path(__file__).parents[2]


def test_a_copy_is_the_same_byte_for_byte(base, tmp_path):
    write_edited(tmp_path / "copy.safetensors", Checkpoint(base), {})
    assert (tmp_path / "copy.safetensors").read_bytes() == base.read_bytes()


def test_only_the_edited_tensor_differs(base, tmp_path):
    out = tmp_path / "out.safetensors"
    write_edited(out, Checkpoint(base), {"attn2.to_v.weight": np.ones((6, 4), np.float32)})
    for name, tensor in load_file(out).items():
        expected = torch.ones(6, 4).half() if name == "attn2.to_v.weight" else tensors()[name]
        assert same_bits(tensor, expected)
    with safe_open(base, "pt") as before, safe_open(out, "pt") as after:
        assert before.offset_keys() == after.offset_keys()
        assert before.metadata() == after.metadata()


def test_nan_payloads_and_negative_zeros_are_copied_through(tmp_path):
    data = np.array([0x7E01, 0xFE42, 0x8000, 0x7C00, 0x0001, 0], np.uint16).tobytes()
    fields = {
        "w": {"dtype": "F16", "shape": [5], "data_offsets": [0, 10]},
        "m": {"dtype": "BOOL", "shape": [2], "data_offsets": [10, 12]},
    }
    (tmp_path / "odd.safetensors").write_bytes(raw_file(fields, data[:10] + b"\x02\xff"))
    out = tmp_path / "out.safetensors"
    write_edited(out, Checkpoint(tmp_path / "odd.safetensors"), {})
    assert bytes(Checkpoint(out).raw("w")) == data[:10]
    assert bytes(Checkpoint(out).raw("m")) == b"\x02\xff"


NEW = torch.tensor([[1.5, -2.0, 3.0, 0.25]]).repeat(6, 1)


@pytest.mark.parametrize(
    "edit",
    [
        NEW,
        NEW.double(),
        NEW.half(),
        NEW.bfloat16(),
        NEW.T.contiguous().T,
        torch.nn.Parameter(NEW),
        NEW.numpy(),
        NEW.double().numpy(),
        NEW.half().numpy(),
        NEW.half().numpy().reshape(-1).view(np.uint8),
        lambda: NEW,
        lambda: NEW.numpy(),
    ],
    ids=lambda edit: "made when asked for" if callable(edit) else str(edit),
)
def test_an_edit_may_come_in_many_forms(base, tmp_path, edit):
    out = tmp_path / "out.safetensors"
    write_edited(out, Checkpoint(base), {"attn2.to_v.weight": edit})
    assert same_bits(load_file(out)["attn2.to_v.weight"], NEW.half())


@pytest.mark.parametrize("name", list(tensors()))
def test_every_dtype_can_be_replaced_by_values_of_its_own(base, tmp_path, name):
    checkpoint, tensor = Checkpoint(base), tensors()[name]
    other = torch.flip(tensor.view(torch.uint8).reshape(-1), [0]) if tensor.dim() else None
    new = tensor if other is None else other.view(tensor.dtype).reshape(tensor.shape)
    if tensor.is_floating_point():
        new = torch.nan_to_num(new.double(), 1, 2, 3).to(tensor.dtype)
    write_edited(tmp_path / "out.safetensors", checkpoint, {name: new})
    assert same_bits(load_file(tmp_path / "out.safetensors")[name], new)


@pytest.mark.parametrize(
    "edits, error, reason",
    [
        ({"nothing": np.zeros(1)}, Incompatible, "has no tensor nothing"),
        ({"double": np.zeros(4)}, Incompatible, r"has the shape \[3\], its new values \[4\]"),
        ({"double": np.zeros((3, 1))}, Incompatible, r"its new values \[3, 1\]"),
        ({"signed": np.zeros(2, np.float32)}, Incompatible, "is stored as I32, not as float32"),
        ({"mask": np.zeros(3, np.int64)}, Incompatible, "is stored as BOOL, not as int64"),
        ({"double": np.zeros(3, np.int64)}, Incompatible, "must be float32"),
        ({"attn2.to_v.weight": np.full((6, 4), 7e4)}, Overflow, "7e\\+04|70000"),
        ({"attn2.to_v.weight": np.full((6, 4), np.nan)}, Overflow, "NaN or Inf"),
        ({"attn2.to_v.weight": torch.full((6, 4), torch.inf)}, Overflow, "NaN or Inf"),
        ({"attn2.to_k.weight": torch.full((6, 4), torch.nan)}, Overflow, "NaN or Inf"),
        ({"attn2.to_v.weight": torch.full((6, 4), torch.inf).half()}, Overflow, "NaN or Inf"),
        ({"attn2.to_v.weight": np.full((6, 4), np.inf, np.float16)}, Overflow, "NaN or Inf"),
        ({"conv.weight": torch.full((2, 3, 3, 3), torch.nan).bfloat16()}, Overflow, "NaN or Inf"),
    ],
)
def test_a_wrong_edit_is_refused_and_nothing_is_written(base, tmp_path, edits, error, reason):
    with pytest.raises(error, match=reason):
        write_edited(tmp_path / "out.safetensors", Checkpoint(base), edits)
    assert listing(tmp_path) == ["base.safetensors"]


def test_stored_bytes_are_taken_as_they_are(base, tmp_path):
    """Who hands in uint8 has looked at the values already, or copies them from elsewhere."""
    nan = np.full(24, 0x7E00, np.uint16).view(np.uint8)
    write_edited(tmp_path / "out.safetensors", Checkpoint(base), {"attn2.to_v.weight": nan})
    assert load_file(tmp_path / "out.safetensors")["attn2.to_v.weight"].isnan().all()


def test_an_edit_reaches_the_ledger_and_stale_identities_go(tmp_path):
    stale = {"sshs_model_hash": "1", "modelspec.hash_sha256": "2", "modelspec.thumbnail": "3"}
    kept = {"format": "pt", "modelspec.title": "mine", "note": "ü"}
    path, out = tmp_path / "base.safetensors", tmp_path / "out.safetensors"
    save_file({"w": torch.zeros(2)}, path, metadata=stale | kept)
    with Checkpoint(path) as base:
        line = ledger.entry("erase", {"steps": 3}, base.data_sha256(), concepts=["Van Gogh"])
        metadata = ledger.append(base.metadata, line)
        write_edited(out, base, {"w": np.ones(2)}, metadata=metadata)
    written = Checkpoint(out)
    assert {k: v for k, v in written.metadata.items() if k != ledger.KEY} == kept
    assert written.ledger == [line]
    write_edited(out, written, {}, force=True, in_place=True)
    assert Checkpoint(out).ledger == [line]


def test_a_copy_keeps_the_identity(tmp_path):
    path, out = tmp_path / "base.safetensors", tmp_path / "out.safetensors"
    save_file({"w": torch.zeros(2)}, path, metadata={"sshs_model_hash": "1"})
    write_edited(out, Checkpoint(path), {})
    assert Checkpoint(out).metadata == {"sshs_model_hash": "1"}
    write_edited(out, Checkpoint(path), {"w": np.ones(2)}, force=True)
    assert Checkpoint(out).metadata == {}


def test_says_what_it_wrote(base, tmp_path):
    checkpoint, out = Checkpoint(base), tmp_path / "out.safetensors"
    assert write_edited(out, checkpoint, {}) == Written(out, checkpoint.data_sha256())
    edited = write_edited(out, checkpoint, {"double": np.ones(3)}, force=True)
    assert edited.sha256 == Checkpoint(out).data_sha256() != checkpoint.data_sha256()


def test_a_checkpoint_is_written_from_nothing_in_these_very_bytes(tmp_path):
    out = tmp_path / "out.safetensors"
    specs = [Spec("w", "F32", (2,)), Spec("b", "F16", ())]
    data = [np.array([1, 2], np.float32), [b"\0", b"<"]]
    written = write(out, specs, data, {"b": "2", "a": "1"})
    header = (
        b'{"__metadata__":{"a":"1","b":"2"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"b":{"dtype":"F16","shape":[],"data_offsets":[8,10]}}    '
    )
    body = b"\0\0\x80?\0\0\0@\0<"
    assert out.read_bytes() == len(header).to_bytes(8, "little") + header + body
    assert written.sha256 == hashlib.sha256(body).hexdigest()
    assert torch.equal(load_file(out)["b"], torch.tensor(1.0).half())


def test_the_same_edit_writes_the_same_bytes_in_every_process(tmp_path):
    save_file({f"w{i}": torch.zeros(i) for i in range(9)}, tmp_path / "base.safetensors")
    code = """if True:
        import sys, numpy as np
        from ckptedit.files import *
        base = Checkpoint(sys.argv[1])
        metadata = {str(key): "x" for key in {f"k{i}" for i in range(20)}}
        line = ledger.entry("erase", {k: 1 for k in {"a", "b", "c", "d"}}, "0", seed=1)
        write_edited(sys.argv[2], base, {"w3": np.ones(3)}, metadata=ledger.append(metadata, line))
    """
    written = set()
    for seed in "123":
        arguments = [sys.executable, "-c", code, tmp_path / "base.safetensors", tmp_path / seed]
        env = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(arguments, check=True, cwd=ROOT, env=env)
        written.add((tmp_path / seed).read_bytes())
    assert len(written) == 1


def test_a_generator_may_reuse_its_buffer(tmp_path):
    """Large pieces are hashed by another thread while they are written; it must be done by then."""
    size = 1 << 20

    def pieces():
        buffer = np.empty(size, np.uint8)
        for i in range(20):
            buffer[:] = i
            yield buffer

    out = tmp_path / "out.safetensors"
    written = write(out, [Spec("w", "U8", (20 * size,))], [pieces()], {})
    assert written.sha256 == Checkpoint(out).data_sha256()
    assert np.array_equal(Checkpoint(out).raw("w"), np.repeat(np.arange(20, dtype=np.uint8), size))


@pytest.mark.parametrize(
    "data, reason",
    [
        ([], "tensor w takes 4 bytes as F32 .1., but its data has less"),
        ([b"123"], "less"),
        ([b"12345"], "more"),
        ([[b"12", b"345"]], "more"),
        ([b"1234", b"1234"], "more data than tensors"),
    ],
)
def test_data_that_does_not_fit_its_tensors_is_refused(tmp_path, data, reason):
    with pytest.raises(Incompatible, match=reason):
        write(tmp_path / "out.safetensors", [Spec("w", "F32", (1,))], data, {})
    assert listing(tmp_path) == []


def test_an_error_of_the_data_is_passed_on_and_nothing_is_left(tmp_path):
    def failing():
        yield b"1234"
        raise ZeroDivisionError

    specs = [Spec("a", "F32", (1,)), Spec("b", "F32", (1,))]
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "out.safetensors", specs, failing(), {})
    assert listing(tmp_path) == []


def test_shards_are_read_and_one_file_is_written(shards, tmp_path):
    write_edited(tmp_path / "one.safetensors", Checkpoint(shards), {"b": np.zeros((2, 3))})
    assert values(Checkpoint(tmp_path / "one.safetensors")) == {"a": 1, "b": 0, "c": 3}


def test_what_does_not_fit_into_one_file_becomes_shards_and_an_index(base, tmp_path):
    out, checkpoint = tmp_path / "out.safetensors", Checkpoint(base)
    written = write_edited(out, checkpoint, {}, shard_size=150)
    assert written.path == tmp_path / "out.safetensors.index.json"
    again = Checkpoint(written.path)
    assert list(again) == list(checkpoint)
    assert again.data_sha256() == checkpoint.data_sha256() == written.sha256
    assert again.metadata == checkpoint.metadata
    index = json.loads(written.path.read_text())
    files = sorted(set(index["weight_map"].values()))
    assert files == [f"out-{i:05}-of-00004.safetensors" for i in (1, 2, 3, 4)]
    assert sum(len(load_file(tmp_path / name)) for name in files) == len(checkpoint)
    sizes = [sum(t.numel() * t.itemsize for t in load_file(tmp_path / n).values()) for n in files]
    assert max(sizes) <= 150 and sum(sizes) == index["metadata"]["total_size"]


def test_transformers_finds_the_shards_of_our_index(base, tmp_path):
    from transformers.utils.hub import get_checkpoint_shard_files

    written = write_edited(tmp_path / "model.safetensors", Checkpoint(base), {}, shard_size=150)
    paths, metadata = get_checkpoint_shard_files(str(tmp_path), str(written.path))
    assert len(paths) == 4 and sorted(metadata["all_checkpoint_keys"]) == sorted(tensors())


def test_shards_are_filled_to_the_last_byte(tmp_path):
    specs = [Spec(str(i), "U8", (count,)) for i, count in enumerate([0, 50, 50, 120, 0, 99, 1])]
    data = [bytes(spec.nbytes) for spec in specs]
    path = write(tmp_path / "out.safetensors", specs, data, {}, shard_size=100).path
    files = [info.file for _, info in Checkpoint(path).items()]
    assert files == [0, 0, 0, 1, 2, 2, 2]


def test_what_fits_into_one_file_is_one_file(base, tmp_path):
    out = tmp_path / "out.safetensors"
    assert write_edited(out, Checkpoint(base), {}, shard_size=10**6).path == out


def test_an_index_as_output_means_shards(base, tmp_path):
    out = tmp_path / "out.safetensors.index.json"
    assert write_edited(out, Checkpoint(base), {}).path == out
    assert Checkpoint(out).data_sha256() == Checkpoint(base).data_sha256()
    assert (tmp_path / "out-00001-of-00001.safetensors").exists()


def test_old_shards_are_replaced_only_by_force(base, tmp_path):
    out = tmp_path / "out.safetensors"
    write_edited(out, Checkpoint(base), {}, shard_size=150)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    new = {"double": np.zeros(3)}
    with pytest.raises(OutputExists, match=r"out\.safetensors\.index\.json exists; --force"):
        write_edited(out, Checkpoint(base), new, shard_size=150)
    (tmp_path / "out.safetensors.index.json").rename(tmp_path / "elsewhere")
    with pytest.raises(OutputExists, match=r"out-00001-of-00004\.safetensors exists; --force"):
        write_edited(out, Checkpoint(base), new, shard_size=150)
    (tmp_path / "elsewhere").rename(tmp_path / "out.safetensors.index.json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    written = write_edited(out, Checkpoint(base), new, shard_size=150, force=True)
    assert not Checkpoint(written.path).values("double").any()


@pytest.mark.parametrize("in_place", [True, False])
def test_a_sharded_input_is_never_overwritten(shards, in_place):
    base = Checkpoint(shards)
    for target in [shards, shards.parent / "model-1.safetensors"]:
        with pytest.raises(OutputExists, match="is an input of several files"):
            write_edited(target, base, {}, force=True, in_place=in_place)
    assert values(Checkpoint(shards)) == {"a": 1, "b": 2, "c": 3}


def test_a_shard_size_must_be_positive(base, tmp_path):
    with pytest.raises(BadParam, match="the shard size 0"):
        write_edited(tmp_path / "out.safetensors", Checkpoint(base), {}, shard_size=0)


def test_where_there_can_be_no_shards_a_shard_size_is_refused(folder, base, tmp_path):
    with pytest.raises(BadParam, match="has the same files; leave the shard size out"):
        write_edited(tmp_path / "out", Checkpoint(folder), {}, shard_size=1000)
    for stream in ("-", "/dev/null"):
        with pytest.raises(BadParam, match=f"{stream} is a stream, and takes one file; leave"):
            write_edited(stream, Checkpoint(base), {}, shard_size=1000)
    assert not (tmp_path / "out").exists()


def test_a_folder_becomes_a_folder(folder, tmp_path):
    base, out = Checkpoint(folder), tmp_path / "out"
    (folder / ".cache").mkdir()
    (folder / ".cache/x").touch()
    (folder / "unet/diffusion_pytorch_model.safetensors.index.fp16.json").write_text("{}")
    line = ledger.entry("erase", {}, base.data_sha256())
    edits = {"unet.down.to_k": np.zeros((2, 3)), "text_encoder_2.head": np.ones((2, 3))}
    written = write_edited(out, base, edits, metadata=ledger.append(base.metadata, line))
    again = Checkpoint(out)
    expected = values(base) | {"unet.down.to_k": 0, "text_encoder_2.head": 1}
    assert values(again) == expected and list(again) == list(base)
    assert written == Written(out, again.data_sha256())
    assert again.ledger == [line]
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} == {
        "README.md",
        *(
            str(p.relative_to(folder))
            for p in folder.rglob("*")
            if p.is_file()
            and ".cache" not in p.parts
            and ("fp16" not in p.name or "image" in str(p))
        ),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pipe"]


def test_only_what_is_known_to_hold_no_weights_comes_along(folder, tmp_path):
    """And a safety checker as it is: no command edits it."""
    kept = ["safety_checker/pytorch_model.bin", "safety_checker/config.json", "LICENSE",
            "tokenizer/merges.txt", "tokenizer/spiece.model", "unet/config.json"]  # fmt: skip
    left = ["vae/diffusion_pytorch_model.bin", "unet/old/model.pth", "v1-5.ckpt", "unet/WEIGHTS",
            "unet/flax_model.msgpack", "unet/tf_model.h5", "unet/model.onnx", "vae_encoder/a.onnx",
            "unet/model.onnx_data", "x/a.bin.index.json", "unet/a.GGUF", "unet/new"]  # fmt: skip
    for name in kept + left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    write_edited(tmp_path / "out", Checkpoint(folder), {})
    assert [(tmp_path / "out" / name).read_bytes() for name in kept] == [n.encode() for n in kept]
    assert not [name for name in left if (tmp_path / "out" / name).exists()]


def test_a_stale_total_size_is_written_right(folder, tmp_path):
    names = {"wte": "model-1.safetensors", "head": "model-2.safetensors"}
    write_index(folder / "text_encoder_2", names, total_size=1, made="by hand")
    write_edited(tmp_path / "out", Checkpoint(folder), {})
    index = json.loads((tmp_path / "out/text_encoder_2/model.safetensors.index.json").read_text())
    assert index == {"metadata": {"total_size": 48, "made": "by hand"}, "weight_map": names}
    assert Checkpoint(tmp_path / "out").notes == []


def test_the_index_of_a_variant_comes_along_only_if_it_is_used(folder, tmp_path):
    (folder / "text_encoder_2/model.safetensors.index.fp16.json").write_text("{}")
    image = folder / "image_encoder"
    save(image / "model.fp16-00001-of-00001.safetensors", wpe=6)
    (image / "model.fp16.safetensors").unlink()
    index = write_index(image, {"wpe": "model.fp16-00001-of-00001.safetensors"})
    index.rename(image / "model.safetensors.index.fp16.json")
    write_edited(tmp_path / "out", Checkpoint(folder), {})
    assert values(Checkpoint(tmp_path / "out")) == values(Checkpoint(folder))
    assert {path.name for path in (tmp_path / "out").rglob("*.index*")} == {
        "model.safetensors.index.json",
        "model.safetensors.index.fp16.json",
    }
    assert not (tmp_path / "out/text_encoder_2/model.safetensors.index.fp16.json").exists()


@pytest.mark.parametrize("target", ["out.safetensors", "out.safetensors.index.json", "-"])
def test_a_folder_does_not_become_a_file(folder, tmp_path, target):
    target = target if target == "-" else tmp_path / target
    with pytest.raises(BadParam, match="pipe is a diffusers folder, so its output is one, too"):
        write_edited(target, Checkpoint(folder), {})
    assert listing(tmp_path) == ["pipe"]


def test_other_tensors_may_be_made_from_a_folder(folder, tmp_path):
    """A delta or a LoRA of a folder is a file."""
    out = tmp_path / "lora.safetensors"
    write(out, [Spec("lora_unet", "F32", ())], [b"1234"], {}, inputs=[Checkpoint(folder)])
    assert list(Checkpoint(out)) == ["lora_unet"]


@pytest.mark.parametrize("force", [True, False])
def test_a_folder_is_never_overwritten(folder, tmp_path, force):
    base = Checkpoint(folder)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").touch()
    with pytest.raises(OutputExists, match="a folder is never overwritten"):
        write_edited(tmp_path / "out", base, {}, force=force, in_place=True)
    with pytest.raises(OutputExists, match="is an input of several files"):
        write_edited(folder, base, {}, force=force, in_place=True)
    assert values(Checkpoint(folder)) == values(base)


def test_a_failed_edit_of_a_folder_leaves_nothing(folder, tmp_path):
    with pytest.raises(Overflow):
        write_edited(tmp_path / "out", Checkpoint(folder), {"vae.conv": np.full((2, 3), np.nan)})
    assert listing(tmp_path) == ["pipe"]


def test_a_link_out_of_the_folder_is_not_copied(folder, tmp_path):
    from ckptedit.errors import BadCheckpoint

    (tmp_path / "secret").write_text("secret")
    (folder / "scheduler/notes.txt").symlink_to("../../secret")
    with pytest.raises(BadCheckpoint, match=r"notes\.txt is a link that leaves the folder"):
        write_edited(tmp_path / "out", Checkpoint(folder), {})
    assert listing(tmp_path) == ["pipe", "secret"]


def test_a_shard_of_a_folder_keeps_its_dtypes(folder, tmp_path):
    base = Checkpoint(folder)
    specs = [Spec(t.name, "F16", t.shape) for t in (base[name] for name in base)]
    with pytest.raises(Incompatible, match="is a shard: its dtypes cannot be changed"):
        write(tmp_path / "out", specs, [bytes(12)] * 6, {}, inputs=[base])


def test_a_folder_takes_just_its_own_tensors(folder, tmp_path):
    base = Checkpoint(folder)
    specs = [base[name] for name in base][:-1]
    with pytest.raises(Incompatible, match="takes just the tensors that it has"):
        write(tmp_path / "out", specs, [bytes(24)] * 5, {}, inputs=[base])


def test_diffusers_and_transformers_read_an_edited_file_with_its_ledger(tmp_path):
    """transformers refuses metadata without a format."""
    save_file({"w": torch.zeros(2)}, tmp_path / "base.safetensors")
    base = Checkpoint(tmp_path / "base.safetensors")
    metadata = ledger.append(base.metadata, ledger.entry("erase", {}, "0"))
    write_edited(tmp_path / "out.safetensors", base, {"w": np.ones(2)}, metadata=metadata)
    from transformers.modeling_utils import load_state_dict

    assert torch.equal(load_state_dict(str(tmp_path / "out.safetensors"))["w"], torch.ones(2))


def test_what_names_an_edited_component_goes(folder, tmp_path):
    path = folder / "vae/diffusion_pytorch_model.safetensors"
    save_file({"conv": torch.ones(2, 3)}, path, metadata={"sshs_model_hash": "1", "a": "2"})
    write_edited(tmp_path / "out", Checkpoint(folder), {"vae.conv": np.zeros((2, 3))})
    assert Checkpoint(tmp_path / "out" / path.relative_to(folder)).metadata == {"a": "2"}


def test_component_files_keep_their_own_metadata(folder, tmp_path):
    save_file(
        {"conv": torch.ones(2, 3)},
        folder / "vae/diffusion_pytorch_model.safetensors",
        metadata={"format": "pt", "made by": "vae"},
    )
    write_edited(tmp_path / "out", Checkpoint(folder), {})
    for part, expected in (("vae", {"format": "pt", "made by": "vae"}), ("unet", {"format": "pt"})):
        path = tmp_path / "out" / part / "diffusion_pytorch_model.safetensors"
        assert Checkpoint(path).metadata == expected
    assert save  # is used by the fixtures
