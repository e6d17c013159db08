"""Sharded sets and folders as one checkpoint; and indexes that lie."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint

INDEX = "model.safetensors.index.json"


def save(path: Path, **values: float) -> None:
    """A safetensors file of tensors [2, 3], each full of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        name.replace("__", "."): torch.full((2, 3), float(value)) for name, value in values.items()
    }
    save_file(tensors, path, metadata={"format": "pt"})


def write_index(folder: Path, weight_map: object, **metadata: object) -> Path:
    text = json.dumps({"metadata": metadata, "weight_map": weight_map})
    (folder / INDEX).write_text(text)
    return folder / INDEX


@pytest.fixture
def shards(tmp_path) -> Path:
    """Two shards, one tensor in the first and two in the second, with their index."""
    folder = tmp_path / "sharded"
    save(folder / "model-1.safetensors", a=1)
    save(folder / "model-2.safetensors", b=2, c=3)
    names = {"c": "model-2.safetensors", "b": "model-2.safetensors", "a": "model-1.safetensors"}
    return write_index(folder, names, total_size=72)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A diffusers folder: a UNet, two text encoders of which one is sharded, a VAE, configs."""
    root = tmp_path / "pipe"
    save(root / "vae/diffusion_pytorch_model.safetensors", conv=1)
    save(root / "unet/diffusion_pytorch_model.safetensors", down__to_k=2)
    save(root / "unet/diffusion_pytorch_model.fp16.safetensors", down__to_k=99)
    save(root / "text_encoder/model.safetensors", wte=3)
    save(root / "text_encoder_2/model-1.safetensors", wte=4)
    save(root / "text_encoder_2/model-2.safetensors", head=5)
    names = {"wte": "model-1.safetensors", "head": "model-2.safetensors"}
    write_index(root / "text_encoder_2", names)
    save(root / "image_encoder/model.fp16.safetensors", wpe=6)
    (root / "scheduler").mkdir()
    (root / "scheduler/scheduler_config.json").write_text("{}")
    (root / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return root


def values(checkpoint: Checkpoint) -> dict[str, float]:
    return {name: float(checkpoint.values(name)[0, 0]) for name in checkpoint}


def refusal(path: Path) -> str:
    with pytest.raises(BadCheckpoint) as caught:
        Checkpoint(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_shards_look_like_one_file(shards):
    checkpoint = Checkpoint(shards)
    assert values(checkpoint) == {"a": 1, "b": 2, "c": 3}
    assert [info.file for info in (checkpoint[name] for name in "abc")] == [0, 1, 1]
    assert checkpoint.layout.kind == "shards"
    assert checkpoint.metadata == {"format": "pt"}


def test_the_digest_of_shards_is_that_of_one_file(shards, tmp_path):
    save(tmp_path / "one.safetensors", a=1, b=2, c=3)
    assert (
        Checkpoint(shards).data_sha256() == Checkpoint(tmp_path / "one.safetensors").data_sha256()
    )


def test_a_folder_of_shards_stands_for_its_index(shards):
    assert values(Checkpoint(shards.parent)) == {"a": 1, "b": 2, "c": 3}


def test_a_component_folder_stands_for_its_file(folder):
    assert values(Checkpoint(folder / "unet")) == {"down.to_k": 2}


def test_components_of_a_folder_have_their_names_in_front(folder):
    checkpoint = Checkpoint(folder)
    assert checkpoint.layout.kind == "diffusers folder"
    assert values(checkpoint) == {
        "unet.down.to_k": 2,
        "text_encoder.wte": 3,
        "text_encoder_2.wte": 4,
        "text_encoder_2.head": 5,
        "vae.conv": 1,
        "image_encoder.wpe": 6,
    }
    assert next(iter(checkpoint)) == "unet.down.to_k"


def test_where_components_disagree_the_first_ones_metadata_counts(folder):
    """Of the UNet, not of the VAE."""
    for part in ("unet", "vae"):
        path = folder / part / "diffusion_pytorch_model.safetensors"
        save_file({"w": torch.zeros(1)}, path, metadata={"format": "pt", "part": part, part: "1"})
    expected = {"format": "pt", "part": "unet", "unet": "1", "vae": "1"}
    assert Checkpoint(folder).metadata == expected


def test_which_of_two_variants_is_asked(folder):
    save(folder / "image_encoder/model.bf16.safetensors", wpe=7)
    assert "which of model.bf16.safetensors, model.fp16.safetensors?" in refusal(folder)


@pytest.mark.parametrize("stem", ["diffusion_pytorch_model", "model"])
def test_shards_of_a_variant_are_found_by_its_index(folder, stem):
    unet = folder / "unet"
    for path in unet.iterdir():
        path.unlink()
    names = {"a": f"{stem}.fp16-00001-of-00002", "b": f"{stem}.fp16-00002-of-00002"}
    for tensor, name in names.items():
        save(unet / f"{name}.safetensors", **{tensor: 7})
    weight_map = {tensor: f"{name}.safetensors" for tensor, name in names.items()}
    index = write_index(unet, weight_map, total_size=48)
    index.rename(unet / f"{stem}.safetensors.index.fp16.json")
    assert values(Checkpoint(unet)) == {"a": 7, "b": 7}
    assert list(Checkpoint(folder))[:2] == ["unet.a", "unet.b"]
    save(unet / f"{stem}.bf16.safetensors", a=8)
    assert f"which of {stem}.bf16.safetensors, {stem}.safetensors.index.fp16.json?" in refusal(unet)
    save(unet / f"{stem}.safetensors", a=9)
    assert values(Checkpoint(unet)) == {"a": 9}


def test_a_folder_without_safetensors_says_so(tmp_path):
    assert refusal(tmp_path).endswith("no safetensors files in this folder")


@pytest.mark.parametrize(
    "name, what",
    [
        ("diffusion_pytorch_model.bin", "a pickle"),
        ("flax_model.msgpack", "Flax weights"),
        ("model.onnx", "an ONNX model"),
    ],
)
def test_a_folder_of_another_format_says_so(tmp_path, name, what):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / name).write_bytes(b"PK")
    said = f"no safetensors files in this folder; convert {name}, {what}, to safetensors"
    assert said in refusal(tmp_path)


def test_a_folder_of_other_safetensors_says_what_is_there_and_what_was_expected(tmp_path):
    for name in ("b.safetensors", "a.safetensors", "lora/x.safetensors", "readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert refusal(tmp_path).endswith(
        "has a.safetensors, b.safetensors, lora/x.safetensors, but not "
        "diffusion_pytorch_model.safetensors or model.safetensors; give the file itself"
    )


@pytest.mark.parametrize(
    "name, reason",
    [
        (
            "diffusion_pytorch_model.bin",
            "it has only diffusion_pytorch_model.bin, a pickle; convert",
        ),
        ("flax_model.msgpack", "it has only flax_model.msgpack, Flax weights; convert it"),
        ("model.onnx_data", "it has only model.onnx_data, an ONNX model; convert it"),
        (
            "my_unet.safetensors",
            "my_unet.safetensors under no name that loaders look for (diffusion",
        ),
    ],
)
def test_a_component_that_cannot_be_read_is_named(folder, name, reason):
    """Two folders whose UNets differ are not the same."""
    for path in (folder / "unet").iterdir():
        path.unlink()
    (folder / "unet" / name).touch()
    assert f"pipe: the component unet cannot be read: {reason}" in refusal(folder)
    with Checkpoint(folder, partly=True) as described:
        assert described.notes[0].startswith(f"{folder}: unet is not read: ")


def test_a_component_counts_if_the_pipeline_lists_it(folder):
    """Beside the UNet there may be the same weights for another library."""
    for name in ("vae_decoder", "prior"):
        (folder / name).mkdir()
        (folder / name / "model.onnx").touch()
    assert len(Checkpoint(folder)) == 6
    (folder / "model_index.json").write_text('{"prior": ["diffusers", "PriorTransformer"]}')
    assert "the component prior cannot be read" in refusal(folder)


def test_weights_in_another_precision_beside_the_full_ones_are_a_note(folder, caplog):
    checkpoint = Checkpoint(folder)
    assert values(checkpoint)["unet.down.to_k"] == 2
    beside = "unet/diffusion_pytorch_model.fp16.safetensors"
    (note,) = checkpoint.notes
    assert f"pipe: {beside}: not read, and not in what is written" in note
    assert caplog.messages == [f"note: {note}"]
    (folder / beside).unlink()
    assert not Checkpoint(folder).notes


def test_a_safety_checker_that_cannot_be_read_is_a_note(folder, caplog):
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker/pytorch_model.bin").touch()
    assert len(Checkpoint(folder)) == 6
    assert "pipe: safety_checker is not read: it has only pytorch_model.bin" in caplog.text


@pytest.mark.parametrize(
    "shard, reason",
    [
        ("../outside.safetensors", "leaves the folder"),
        ("sub/../../outside.safetensors", "leaves the folder"),
        ("/tmp/outside.safetensors", "leaves the folder"),
        ("..\\outside.safetensors", "leaves the folder"),
        ("sub/inside.safetensors", "leaves the folder"),
        ("https://example.org/outside.safetensors", "leaves the folder"),
        ("model\0.safetensors", "leaves the folder"),
        ("..", "does not end in .safetensors"),
        (".", "leaves the folder"),
        ("", "does not end in .safetensors"),
        (".safetensors", "does not end in .safetensors"),
        ("model-1.bin", "does not end in .safetensors"),
        ("missing.safetensors", "the shard missing.safetensors is missing"),
        ("loop.safetensors", "the shard loop.safetensors is missing"),
        (f"{'n' * 300}.safetensors", "File name too long"),
        (5, "the shard of a is not a name"),
        (None, "the shard of a is not a name"),
        (["model-1.safetensors"], "the shard of a is not a name"),
    ],
)
def test_a_shard_name_is_a_plain_name_in_the_folder(shards, shard, reason):
    save(shards.parent.parent / "outside.safetensors", a=1)
    save(shards.parent / "sub/inside.safetensors", a=1)
    save(shards.parent / "..\\outside.safetensors", a=1)
    save(shards.parent / ".safetensors", a=1)
    (shards.parent / "loop.safetensors").symlink_to("loop.safetensors")
    write_index(shards.parent, {"a": shard})
    assert reason in refusal(shards)


def test_a_shard_may_not_be_a_link_out_of_the_folder(shards):
    save(shards.parent.parent / "outside.safetensors", a=1)
    (shards.parent / "model-1.safetensors").unlink()
    (shards.parent / "model-1.safetensors").symlink_to("../outside.safetensors")
    assert "model-1.safetensors is a link that leaves the folder" in refusal(shards)


def test_a_component_may_not_be_a_link_out_of_the_folder(folder):
    save(folder.parent / "outside.safetensors", a=1)
    (folder / "text_encoder/model.safetensors").unlink()
    (folder / "text_encoder/model.safetensors").symlink_to("../../outside.safetensors")
    assert "model.safetensors is a link that leaves the folder" in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "model.fp16.safetensors", INDEX])
def test_a_folders_own_weights_may_not_be_a_link_out_of_it(tmp_path, name):
    (tmp_path / "folder").mkdir()
    save(tmp_path / "outside.safetensors", a=1)
    (tmp_path / "folder" / name).symlink_to("../outside.safetensors")
    assert f"{name} is a link that leaves the folder" in refusal(tmp_path / "folder")


def test_a_file_that_is_named_itself_may_be_any_link(tmp_path):
    save(tmp_path / "outside.safetensors", a=1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/model.safetensors").symlink_to("../outside.safetensors")
    assert values(Checkpoint(tmp_path / "folder/model.safetensors")) == {"a": 1}


def test_a_shard_may_be_a_link_within_the_folder(shards):
    (shards.parent / "model-1.safetensors").rename(shards.parent / "real.safetensors")
    (shards.parent / "model-1.safetensors").symlink_to("real.safetensors")
    assert values(Checkpoint(shards)) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("weights", ["model.safetensors", "model-1.safetensors"])
@pytest.mark.parametrize("component", ["", "text_encoder/", "versions/1/text_encoder/"])
def test_links_into_the_blobs_of_the_same_hub_cache_are_followed(tmp_path, component, weights):
    cache = tmp_path / "hub/models--x--y"
    save(cache / "blobs/abc.safetensors", a=1)
    (cache / "blobs/abc.safetensors").rename(cache / "blobs/abc")
    snapshot = cache / "snapshots/1234"
    (snapshot / component).mkdir(parents=True)
    up = "../" * (2 + component.count("/"))
    (snapshot / component / weights).symlink_to(f"{up}blobs/abc")
    if weights != "model.safetensors":
        write_index(snapshot / component, {"a": weights})
    opened = snapshot / component if "versions" in component else snapshot
    assert list(values(Checkpoint(opened)).values()) == [1]


def test_a_link_into_another_models_blobs_is_refused(tmp_path):
    save(tmp_path / "hub/models--other/blobs/abc.safetensors", a=1)
    snapshot = tmp_path / "hub/models--x--y/snapshots/1234"
    snapshot.mkdir(parents=True)
    (snapshot / "model-1.safetensors").symlink_to("../../../models--other/blobs/abc.safetensors")
    write_index(snapshot, {"a": "model-1.safetensors"})
    assert "leaves the folder" in refusal(snapshot)


def test_a_shard_that_lacks_what_the_index_promises_is_refused(shards):
    names = {"a": "model-1.safetensors", "d": "model-1.safetensors"}
    write_index(shards.parent, names)
    assert "model-1.safetensors: lacks the tensor d" in refusal(shards)


def test_a_shard_with_more_than_the_index_says_is_refused(shards):
    write_index(shards.parent, {"b": "model-2.safetensors"})
    assert "has, unknown to the index, the tensor c" in refusal(shards)


def test_a_tensor_in_two_shards_is_refused(shards):
    save(shards.parent / "model-1.safetensors", a=1, b=2)
    assert "has, unknown to the index, the tensor b" in refusal(shards)


@pytest.mark.parametrize("total", [71, 73, 72.5, -1])
def test_a_stale_total_size_is_a_note(shards, total, caplog):
    """Some published files have one: their tensors are all there."""
    index = json.loads(shards.read_text())
    index["metadata"]["total_size"] = total
    shards.write_text(json.dumps(index))
    checkpoint = Checkpoint(shards)
    note = f"{shards}: its total_size is {total}, but the shards hold 72 bytes"
    assert checkpoint.notes == [note] and values(checkpoint) == {"a": 1, "b": 2, "c": 3}
    assert caplog.messages == [f"note: {note}"]


def test_a_stale_total_size_of_a_component_is_a_note_that_names_it(folder):
    names = {"wte": "model-1.safetensors", "head": "model-2.safetensors"}
    write_index(folder / "text_encoder_2", names, total_size=48)
    beside = Checkpoint(folder).notes  # that the UNet is there twice
    write_index(folder / "text_encoder_2", names, total_size=47)
    (note,) = [note for note in Checkpoint(folder).notes if note not in beside]
    said = "its total_size is 47, but the shards hold 48 bytes"
    assert note.endswith(f"pipe/text_encoder_2/{INDEX}: {said}")


def test_an_endless_total_size_is_refused(shards):
    shards.write_text(shards.read_text().replace('"total_size": 72', '"total_size": 1e999'))
    assert refusal(shards).endswith("has the number 1e999, out of range")


@pytest.mark.parametrize("name", ["loop", "loop.index.json", "n" * 300, f"{'n' * 300}.json"])
def test_a_name_that_cannot_be_opened_is_refused(tmp_path, name):
    if len(name) < 300:
        (tmp_path / name).symlink_to(name)
    reason = "File name too long" if len(name) >= 300 else "Too many levels of symbolic links"
    assert refusal(tmp_path / name).endswith(f": {reason}")


def test_a_missing_total_size_and_one_as_float_are_fine(shards):
    index = json.loads(shards.read_text())
    for metadata in ({"total_size": 72.0}, {}, None):
        shards.write_text(json.dumps(index | {"metadata": metadata}))
        assert len(Checkpoint(shards)) == 3


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "not valid JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no weight_map"),
        ('{"weight_map": {}}', "no weight_map"),
        ('{"weight_map": []}', "no weight_map"),
        ('{"weight_map": {"a": "m.safetensors", "a": "n.safetensors"}}', "has a twice"),
        ('{"weight_map": ' + "[" * 100_000, "nested too deeply"),
        ('{"weight_map": {"\\ud800": "m.safetensors"}}', "not Unicode"),
        ("\udcff", "not valid JSON"),
    ],
)
def test_a_malformed_index_is_refused(tmp_path, text, reason):
    (tmp_path / INDEX).write_bytes(text.encode(errors="surrogateescape"))
    assert reason in refusal(tmp_path / INDEX)


def test_a_missing_index_is_named(tmp_path):
    assert refusal(tmp_path / INDEX).endswith(f"{INDEX}: no such file")


def test_a_malformed_shard_is_named(shards):
    (shards.parent / "model-2.safetensors").write_bytes(b"x")
    assert "model-2.safetensors: not a safetensors file" in refusal(shards)
