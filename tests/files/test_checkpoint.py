"""Reading: what comes out is what the safetensors library put in."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ckptedit.errors import BadCheckpoint, Incompatible
from ckptedit.files import Checkpoint
from ckptedit.files.torch_dtypes import to_raw
from tests.files.conftest import raw_file, same_bits, tensors


def test_tensors_come_out_as_they_went_in(base):
    checkpoint = Checkpoint(base)
    for name, tensor in tensors().items():
        assert same_bits(checkpoint.tensor(name), tensor)
        assert bytes(checkpoint.raw(name)) == bytes(to_raw(tensor))
        values = torch.from_numpy(checkpoint.values(name))
        assert torch.equal(values.double(), tensor.double())
        assert values.shape == tensor.shape


def test_values_are_float32_unless_stored_wider_or_as_integers(base):
    checkpoint = Checkpoint(base)
    for name, tensor in tensors().items():
        narrow = tensor.is_floating_point() and tensor.dtype != torch.float64
        expected = torch.float32 if narrow else tensor.dtype
        assert torch.from_numpy(checkpoint.values(name)).dtype == expected


def test_names_come_in_the_order_of_the_bytes(base):
    with safe_open(base, framework="pt") as file:
        order = [name for name in file.offset_keys() if tensors()[name].numel()]
    assert [name for name, info in Checkpoint(base).items() if info.nbytes] == order


def test_it_is_a_mapping_from_names_to_what_the_header_says(base):
    checkpoint = Checkpoint(base)
    assert checkpoint.keys() == tensors().keys()
    assert len(checkpoint) == len(tensors())
    assert "conv.weight" in checkpoint and "nothing" not in checkpoint
    info = checkpoint["conv.weight"]
    assert (info.dtype, info.shape, info.numel, info.nbytes) == ("BF16", (2, 3, 3, 3), 54, 108)
    assert base.read_bytes()[info.offset :][: info.nbytes] == bytes(checkpoint.raw("conv.weight"))
    assert checkpoint.metadata == {"format": "pt"}
    assert {checkpoint: 1}[checkpoint] == 1 and checkpoint != Checkpoint(base)


def test_pieces_join_to_the_whole(base):
    checkpoint = Checkpoint(base)
    whole = bytes(checkpoint.raw("attn2.to_k.weight"))
    pieces = [bytes(piece) for piece in checkpoint.chunks("attn2.to_k.weight", 40)]
    assert [len(piece) for piece in pieces] == [40, 40, 16]
    assert b"".join(pieces) == whole
    buffer = np.zeros(10, np.uint8)
    checkpoint.read_into("attn2.to_k.weight", buffer, start=86)
    assert bytes(buffer) == whole[86:]


@pytest.mark.parametrize("start", [-1, 87])
def test_reading_beyond_a_tensor_is_an_error(base, start):
    with pytest.raises(IndexError, match=r"attn2\.to_k\.weight, which has 96"):
        Checkpoint(base).read_into("attn2.to_k.weight", bytearray(10), start)


def test_large_tensors_decode_across_pieces(tmp_path):
    from safetensors.torch import save_file

    values = torch.randn(3, 300_001, generator=torch.Generator().manual_seed(0)).half()
    save_file({"w": values}, tmp_path / "large.safetensors")
    read = Checkpoint(tmp_path / "large.safetensors").values("w")
    assert np.array_equal(read, values.float().numpy())


def test_the_digest_covers_the_tensors_and_not_the_header(base, tmp_path):
    other = tmp_path / "other.safetensors"
    content = base.read_bytes()
    length = int.from_bytes(content[:8], "little")
    other.write_bytes(raw_file(content[8 : 8 + length] + b" " * 11, content[8 + length :]))
    expected = hashlib.sha256(content[8 + length :]).hexdigest()
    assert Checkpoint(base).data_sha256() == Checkpoint(other).data_sha256() == expected


def test_reads_from_stdin(base, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(base.read_bytes())))
    checkpoint = Checkpoint("-")
    assert checkpoint.label == "<stdin>"
    for name, tensor in tensors().items():
        assert same_bits(checkpoint.tensor(name), tensor)


def test_an_empty_stdin_is_no_checkpoint(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(BadCheckpoint, match="<stdin>: not a safetensors file \\(it is empty\\)"):
        Checkpoint("-")


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"PK\x03\x04" + bytes(100), "is a pickle in a zip"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M", "is a pickle .*convert it"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "is a Git LFS pointer.*git lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"GGUF\x03\0\0\0\x01\0\0\0", "is a GGUF file"),
        (b"not a checkpoint at all", "not a safetensors file"),
    ],
)
def test_says_what_a_foreign_file_is(tmp_path, content, reason):
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match=f"model.ckpt: {reason}"):
        Checkpoint(path)


def test_says_that_a_torch_checkpoint_is_a_pickle(tmp_path):
    torch.save({"w": torch.zeros(3)}, tmp_path / "new.ckpt")
    torch.save({"w": torch.zeros(3)}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    for name in ("new.ckpt", "old.ckpt"):
        with pytest.raises(BadCheckpoint, match=r"is a pickle.*convert it to safetensors first"):
            Checkpoint(tmp_path / name)


def test_a_missing_file_is_named_with_its_name_escaped(tmp_path):
    with pytest.raises(BadCheckpoint, match=r"no\\nfile.safetensors: no such file"):
        Checkpoint(tmp_path / "no\nfile.safetensors")


def test_an_unreadable_path_says_why(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadCheckpoint, match="loop: Too many levels of symbolic links"):
        Checkpoint(tmp_path / "loop")


def test_reads_from_a_fifo(base, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cp", base, tmp_path / "pipe"]):
        checkpoint = Checkpoint(tmp_path / "pipe")
    assert same_bits(checkpoint.tensor("conv.weight"), tensors()["conv.weight"])


def test_a_device_is_refused():
    with pytest.raises(BadCheckpoint, match="/dev/zero: is a device"):
        Checkpoint("/dev/zero")


def test_a_terminal_as_stdin_is_refused(monkeypatch):
    controller, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(BadCheckpoint, match="is a terminal; pipe a checkpoint into it"):
            Checkpoint("-")
    os.close(controller)


def test_a_file_that_changes_while_it_is_read_is_noticed(base):
    checkpoint = Checkpoint(base)
    with base.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(base, ns=(0, 12345))
    with pytest.raises(BadCheckpoint, match="changed while it was read"):
        checkpoint.raw("conv.weight")
    with pytest.raises(BadCheckpoint, match="changed while it was read"):
        checkpoint.require_unchanged()


def test_a_file_that_is_cut_while_it_is_read_is_noticed(base):
    checkpoint = Checkpoint(base)
    os.truncate(base, 100)
    with pytest.raises(BadCheckpoint, match="truncated while it was read"):
        checkpoint.data_sha256()


def test_a_file_that_is_replaced_while_it_is_read_stays_the_old_one(base):
    checkpoint = Checkpoint(base)
    other = base.with_name("other")
    other.write_bytes(b"something else")
    other.replace(base)
    assert same_bits(checkpoint.tensor("conv.weight"), tensors()["conv.weight"])


def test_a_malformed_bool_is_refused_when_its_values_are_asked_for(tmp_path):
    fields = {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}
    (tmp_path / "bool.safetensors").write_bytes(raw_file({"m": fields}, b"\x01\x02"))
    checkpoint = Checkpoint(tmp_path / "bool.safetensors")
    assert bytes(checkpoint.raw("m")) == b"\x01\x02"
    with pytest.raises(BadCheckpoint, match="tensor m has bools beyond 0 and 1"):
        checkpoint.values("m")


def test_dtypes_of_the_future_are_carried_but_not_computed_with(tmp_path):
    fields = {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}
    (tmp_path / "scale.safetensors").write_bytes(raw_file({"s": fields}, b"\x7f\x80"))
    checkpoint = Checkpoint(tmp_path / "scale.safetensors")
    assert bytes(checkpoint.raw("s")) == b"\x7f\x80"
    for read in (checkpoint.values, checkpoint.tensor):
        with pytest.raises(Incompatible, match="F4"):
            read("s")


def test_closing_lets_go_of_the_file(base):
    def held() -> int:
        return sum(link.resolve() == base for link in Path("/proc/self/fd").iterdir())

    with Checkpoint(base) as checkpoint:
        assert held() == 1
        checkpoint.raw("conv.weight")
    assert held() == 0


def test_a_forgotten_checkpoint_lets_go_of_the_file(base):
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(20):
        Checkpoint(base).raw("conv.weight")
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_refused_file_is_let_go_of(tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(raw_file("{nonsense"))
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(20):
        with pytest.raises(BadCheckpoint):
            Checkpoint(path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Digest and values of a file of 400 MB, tensor by tensor, in the memory of a few tensors."""
    path = tmp_path / "large.safetensors"
    count, width = 100, 1 << 21
    header = {
        str(i): {
            "dtype": "F16",
            "shape": [width],
            "data_offsets": [i * 2 * width, (i + 1) * 2 * width],
        }
        for i in range(count)
    }
    path.write_bytes(raw_file(header))
    os.truncate(path, path.stat().st_size + count * 2 * width)
    code = f"""if True:
        import resource, sys
        from ckptedit.files import Checkpoint
        checkpoint = Checkpoint({str(path)!r})
        checkpoint.values("0")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        checkpoint.data_sha256()
        for name in list(checkpoint)[:20]:
            checkpoint.values(name)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)
    assert int(done.stdout) < 30_000  # KiB; one tensor is 8 MiB as float32


def test_threads_may_share_a_checkpoint(base):
    from concurrent.futures import ThreadPoolExecutor

    checkpoint = Checkpoint(base)
    names = [name for name in checkpoint for _ in range(50)]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda name: bytes(checkpoint.raw(name)), names))
    assert read == [bytes(to_raw(tensors()[name])) for name in names]


def test_the_python_api_reads_what_load_file_reads(base):
    from ckptedit import Checkpoint as Public

    checkpoint = Public(base)
    assert all(same_bits(checkpoint.tensor(n), t) for n, t in load_file(base).items())
