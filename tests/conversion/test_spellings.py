"""A checkpoint in the other spelling, against what diffusers and transformers make of it."""

import json
import shutil

import diffusers
import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file, save_file

import ckptedit
from ckptedit.errors import BadCheckpoint, BadParam, Incompatible
from ckptedit.files import Checkpoint

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def parts_of(pipeline):
    return {name: getattr(pipeline, name) for name in PARTS if hasattr(pipeline, name)}


def same(one, other):
    """Whether modules have the same weights to the bit, under whatever layout of CLIP."""
    assert one.keys() == other.keys()
    for name, module in one.items():
        ours, theirs = (
            {key.removeprefix("text_model."): value for key, value in m.state_dict().items()}
            for m in (module, other[name])
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key].half(), theirs[key].half()) for key in ours)
    return True


def test_diffusers_reads_the_single_file_as_the_model_it_was_made_of(model):
    load = StableDiffusionXLPipeline if model.kind == "sdxl" else StableDiffusionPipeline
    theirs = parts_of(DiffusionPipeline.from_pretrained(model.theirs))
    ours = load.from_single_file(model.single, config=str(model.theirs), local_files_only=True)
    assert same(parts_of(ours), theirs)


def test_diffusers_reads_the_folder_as_the_model_it_was_made_of(model):
    theirs, ours = map(DiffusionPipeline.from_pretrained, (model.theirs, model.folder))
    assert type(theirs) is type(ours) and same(parts_of(ours), parts_of(theirs))
    pads = [getattr(ours, name).pad_token for name in ("tokenizer", "tokenizer_2")
            if hasattr(ours, name)]  # fmt: skip
    end = "<|endoftext|>"
    assert pads == {"sd1": [end], "sd2": ["!"], "sdxl": [end, "!"]}[model.kind]
    assert ours.tokenizer("a cat").input_ids == theirs.tokenizer("a cat").input_ids


def test_there_and_back_every_tensor_has_its_name_dtype_shape_and_bytes(model, tmp_path):
    ckptedit.export(model.folder, tmp_path / "back.safetensors")
    with Checkpoint(model.single) as one, Checkpoint(tmp_path / "back.safetensors") as back:
        assert one.keys() == back.keys()
        for name in one:
            assert (one[name].dtype, one[name].shape) == (back[name].dtype, back[name].shape)
            assert one.raw(name).tobytes() == back.raw(name).tobytes()
    with Checkpoint(model.theirs) as theirs, Checkpoint(model.folder) as ours:
        flat = {name.replace(".text_model.", "."): name for name in theirs}
        assert flat.keys() == {name.replace(".text_model.", ".") for name in ours}
        for name in ours:
            assert (
                ours.raw(name).tobytes()
                == theirs.raw(flat[name.replace(".text_model.", ".")]).tobytes()
            )


def test_a_text_encoder_has_the_names_that_every_loader_knows(model):
    """transformers wrote it without `text_model.`; the script of diffusers passes that on."""
    written = load_file(model.theirs / "text_encoder/model.safetensors")
    assert not any(name.startswith("text_model.") for name in written)
    ours = load_file(model.folder / "text_encoder/model.safetensors")
    assert all(name.startswith("text_model.") for name in ours)
    first = "cond_stage_model" if model.kind != "sdxl" else "conditioner.embedders.0"
    text = [name for name in load_file(model.single) if name.startswith(first)]
    start = f"{first}.model." if model.kind == "sd2" else f"{first}.transformer.text_model."
    assert text and all(name.startswith(start) for name in text)


def test_names_are_those_of_the_functions_by_which_diffusers_converts(model):
    tensors = load_file(model.single)
    pipe = DiffusionPipeline.from_pretrained(model.theirs)
    ours = {part: load_file(next((model.folder / part).glob("*.safetensors")))
            for part in PARTS if (model.folder / part).exists()}  # fmt: skip
    assert (
        convert_ldm_unet_checkpoint(tensors, dict(pipe.unet.config)).keys() == ours["unet"].keys()
    )
    assert convert_ldm_vae_checkpoint(tensors, dict(pipe.vae.config)).keys() == ours["vae"].keys()
    if model.kind != "sd2":
        found = convert_ldm_clip_checkpoint(tensors)
        assert found.keys() == ours["text_encoder"].keys()
    if model.kind != "sd1":
        which = "text_encoder" if model.kind == "sd2" else "text_encoder_2"
        prefix = (
            "cond_stage_model.model." if model.kind == "sd2" else "conditioner.embedders.1.model."
        )
        found = convert_open_clip_checkpoint(getattr(pipe, which), tensors, prefix)
        assert found.keys() == ours[which].keys()
        assert all(torch.equal(found[name], ours[which][name]) for name in found)


def test_what_no_folder_has_is_left_out_and_named_and_indices_stay(model, tmp_path):
    tensors = load_file(model.single)
    start = {"sd1": "cond_stage_model.transformer.text_model.", "sd2": "cond_stage_model.model.",
             "sdxl": "conditioner.embedders.1.model."}[model.kind]  # fmt: skip
    strays = ["betas", "model_ema.decay", start + "logit_scale"]
    if model.kind == "sd2":  # nobody reads the last layer, nor the projection
        block = start + "transformer.resblocks.2"
        strays += [
            f"{block}.ln_1.weight",
            f"{block}.attn.in_proj_weight",
            start + "text_projection",
        ]
        tensors |= {
            strays[3]: torch.ones(32),
            strays[4]: torch.ones(96, 32),
            strays[5]: torch.ones(32, 32),
        }
    tensors |= dict.fromkeys(strays[:3], torch.ones(()))
    ids = "text_encoder.text_model.embeddings.position_ids"
    if model.kind != "sd2":
        where = "cond_stage_model" if model.kind == "sd1" else "conditioner.embedders.0"
        place = f"{where}.transformer.text_model.embeddings.position_ids"
        tensors[place] = torch.arange(16)[None]
    save_file(
        {name: t.contiguous().clone() for name, t in tensors.items()}, tmp_path / "more.safetensors"
    )
    made = ckptedit.export(tmp_path / "more.safetensors", tmp_path / "folder", prediction="epsilon")
    assert sorted(made.left_out) == sorted(strays)
    assert any("betas" in note for note in made.notes)
    with Checkpoint(made.path) as folder:
        assert (ids in folder) == (model.kind != "sd2")
        if ids in folder:
            assert (folder[ids].dtype, folder.values(ids).tolist()) == ("I64", [list(range(16))])


@pytest.mark.parametrize("model", ["sdxl"], indirect=True)
def test_the_schedule_goes_into_a_marker_and_back(model, tmp_path):
    """ComfyUI and A1111 tell a velocity from the noise by empty tensors of these names."""
    tensors = load_file(model.single) | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file(tensors, tmp_path / "v.safetensors")
    ckptedit.export(tmp_path / "v.safetensors", tmp_path / "folder")
    schedule = json.loads((tmp_path / "folder/scheduler/scheduler_config.json").read_text())
    assert schedule["prediction_type"] == "v_prediction"
    assert schedule["rescale_betas_zero_snr"] and schedule["timestep_spacing"] == "trailing"
    ckptedit.export(tmp_path / "folder", tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == tensors.keys() and back["v_pred"].shape == back["ztsnr"].shape == (0,)


def test_an_inpainting_model_gets_the_pipeline_of_one(model, tmp_path):
    tensors = load_file(model.single)
    first = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[first] = torch.zeros(32, 9, 3, 3, dtype=torch.float16)
    save_file(tensors, tmp_path / "inpainting.safetensors")
    ckptedit.export(tmp_path / "inpainting.safetensors", tmp_path / "f", prediction="epsilon")
    listing = json.loads((tmp_path / "f/model_index.json").read_text())
    assert listing["_class_name"] in dir(diffusers) and "Inpaint" in listing["_class_name"]
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "f/unet")
    assert unet.config.in_channels == 9
    tensors[first] = torch.zeros(32, 5, 3, 3, dtype=torch.float16)
    save_file(tensors, tmp_path / "depth.safetensors")
    with pytest.raises(Incompatible, match="takes 5 channels"):
        ckptedit.export(tmp_path / "depth.safetensors", tmp_path / "g", prediction="epsilon")
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("model", ["sd2"], indirect=True)
def test_q_k_and_v_that_are_not_three_of_a_kind_are_no_matrix(model, tmp_path):
    shutil.copytree(model.folder, tmp_path / "folder")
    path = tmp_path / "folder/text_encoder/model.safetensors"
    start = "text_model.encoder.layers.0.self_attn"
    tensors = load_file(path)
    save_file({n: t for n, t in tensors.items() if n != f"{start}.k_proj.bias"}, path)
    with pytest.raises(BadCheckpoint, match="there is no k"):
        ckptedit.export(tmp_path / "folder", tmp_path / "one.safetensors")
    save_file(tensors | {f"{start}.k_proj.bias": tensors[f"{start}.k_proj.bias"].float()}, path)
    with pytest.raises(BadCheckpoint, match="differ in shape or dtype"):
        ckptedit.export(tmp_path / "folder", tmp_path / "one.safetensors")


@pytest.mark.parametrize("model", ["sd2"], indirect=True)
def test_sd2_says_what_its_unet_puts_out_or_is_refused(model, tmp_path):
    with pytest.raises(BadParam, match="--prediction epsilon"):
        ckptedit.export(model.single, tmp_path / "folder")
    ckptedit.export(model.single, tmp_path / "folder", prediction="v_prediction")
    unet = json.loads((tmp_path / "folder/unet/config.json").read_text())
    assert unet["sample_size"] == 96  # 768-v


COMFYUI = {  # what its loader takes for a text encoder: comfy/supported_models.py, commit 005e3702
    "sd1": ("cond_stage_model.transformer.text_model.",),
    "sd2": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."),
}


def test_every_tensor_of_a_single_file_is_where_comfyui_looks_for_it(model):
    starts = ("model.diffusion_model.", "first_stage_model.", *COMFYUI[model.kind])
    names = list(load_file(model.single))
    assert all(name.startswith(starts) for name in names)
    assert all(any(name.startswith(start) for name in names) for start in starts)
