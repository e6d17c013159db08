"""Files that diffusers and PEFT write: what `apply` makes of a checkpoint is what they make of it.

The same file goes through `load_lora_weights` and `fuse_lora`, or PEFT's own merge, into a UNet and
a text encoder; every weight that comes out is compared, under the single file's names.
"""

import json
import os

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tiny_model import random_mini, random_mini_folder, tiny_modules

from ckptedit.deltas import apply
from ckptedit.deltas.addresses import Addresses
from ckptedit.families import spelled_like, to_ldm
from ckptedit.files import Checkpoint

os.environ.setdefault("HF_HUB_OFFLINE", "1")
UNET = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "conv1", "ff.net.0.proj", "time_emb_proj",
        "conv_shortcut"]  # fmt: skip
TEXT = ["q_proj", "k_proj", "out_proj", "fc1"]


def pipeline(unet, vae, text):
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    return StableDiffusionPipeline(vae, text, None, unet, scheduler, None, None,
                                   requires_safety_checker=False)  # fmt: skip


def adapted(seed=0, **options):
    """The adapters of a UNet and a text encoder, random, as PEFT has them."""
    torch.manual_seed(seed)
    unet, _, text = tiny_modules()
    settings = {"r": 4, "lora_alpha": 2, "init_lora_weights": False, **options}
    unet.add_adapter(LoraConfig(target_modules=UNET, **settings))
    text.add_adapter(LoraConfig(target_modules=TEXT, **settings))
    for name, parameter in [*unet.named_parameters(), *text.named_parameters()]:
        if "magnitude" in name:
            parameter.data *= 1.5
    return unet, text


def fused(folder, name):
    """What diffusers makes of the modules with a file of a LoRA, as a single file's tensors."""
    modules = pipeline(*tiny_modules())
    modules.load_lora_weights(str(folder), weight_name=name)
    modules.fuse_lora(components=["unet", "text_encoder"])
    modules.unload_lora_weights()
    return to_ldm(modules.unet, modules.vae, modules.text_encoder)


def same(found, expected, before, least):
    """Every weight is that of the other tool, and many are not what they were."""
    moved = sum(bool((expected[name] != before[name]).any()) for name in before)
    assert moved >= least and found.keys() == expected.keys()
    for name, values in expected.items():
        assert (found[name] - values).abs().max() < 2e-6, name


def write(tmp_path, spelling):
    """A LoRA of both components as diffusers, or as kohya's scripts, would have it."""
    unet, text = adapted(use_dora="dora" in spelling)
    parts = [get_peft_model_state_dict(module) for module in (unet, text)]
    if "dora" in spelling:  # diffusers 0.42 drops the magnitudes of a text encoder, with a warning
        parts[1] = None
    metadata = {}
    if "config" in spelling:
        for name, module in (("unet", unet), ("text_encoder", text)):
            said = module.peft_config["default"].to_dict()
            metadata[f"{name}_lora_adapter_metadata"] = {
                key: sorted(value) if isinstance(value, set) else value
                for key, value in said.items()
                if name == "unet" or parts[1]
            }
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, parts[0], parts[1], weight_name="lora.safetensors", **metadata
    )
    if "kohya" in spelling:
        tensors = load_file(tmp_path / "lora.safetensors")
        kohya = convert_state_dict_to_kohya(tensors)
        kohya |= {key.replace(".lora_down.weight", ".alpha"): torch.tensor(2.0)
                  for key in kohya if key.endswith("lora_down.weight")}  # fmt: skip
        save_file({k: v.contiguous() for k, v in kohya.items()}, tmp_path / "lora.safetensors")
    return tmp_path / "lora.safetensors"


@pytest.mark.parametrize("spelling", ["diffusers", "kohya", "dora, config"])
def test_a_lora_does_what_diffusers_does_with_it(tiny, tmp_path, spelling):
    path = write(tmp_path, spelling)
    expected = fused(tmp_path, path.name)
    out = apply(tiny, path, tmp_path / "out.safetensors", fuzz=True).path
    same(load_file(out), expected, load_file(tiny), 30)


def test_the_processors_of_old_diffusers_files_are_known(tiny, tmp_path):
    """`unet...attn2.processor.to_out_lora.up.weight`, and of text `to_out_lora` for `out_proj`."""
    new = load_file(write(tmp_path, "diffusers"))
    old = {}
    for key, value in new.items():
        if ".attn" in key or ".self_attn." in key:
            module = key.split(".lora_")[0].removesuffix(".0")
            module = module.replace("q_proj", "to_q").replace("k_proj", "to_k")
            module = module.replace("out_proj", "to_out")
            if key.startswith("unet."):
                module = module.replace(".to_", ".processor.to_")
            old[f"{module}_lora.{'down' if '.lora_A.' in key else 'up'}.weight"] = value
    save_file(old, tmp_path / "old.safetensors")
    kept = {key: value for key, value in new.items() if ".attn" in key or ".self_attn." in key}
    save_file(kept, tmp_path / "new.safetensors")
    outs = [load_file(apply(tiny, tmp_path / f"{kind}.safetensors", tmp_path / f"{kind}.out",
                            fuzz=True).path) for kind in ("old", "new")]  # fmt: skip
    for name, values in outs[1].items():
        assert torch.equal(outs[0][name], values), name
    assert any(not torch.equal(outs[0][n], v) for n, v in load_file(tiny).items())


def test_a_folder_and_a_single_file_of_one_model_are_changed_alike(tmp_path):
    """By kohya's names, of mini: UNet and text encoder, half precision."""
    single = random_mini(tmp_path / "mini.safetensors")
    folder = random_mini_folder(tmp_path / "mini")
    block = "down_blocks_1_attentions_0_transformer_blocks_0"
    modules = {
        f"lora_unet_{block}_attn2_to_v": (128, 256),
        f"lora_unet_{block}_attn1_to_q": (128, 128),
    }
    g = torch.Generator().manual_seed(0)
    with Checkpoint(single) as base:
        addresses = Addresses(base)
        modules["lora_te_text_model_encoder_layers_0_mlp_fc1"] = base[
            addresses.find("lora_te_text_model_encoder_layers_0_mlp_fc1")[0].name
        ].shape
    file = {}
    for module, (out, size) in modules.items():
        file[f"{module}.lora_up.weight"] = torch.randn(out, 2, generator=g)
        file[f"{module}.lora_down.weight"] = torch.randn(2, size, generator=g)
    save_file(file, tmp_path / "lora.safetensors")
    outs = [apply(base, tmp_path / "lora.safetensors", tmp_path / name, fuzz=True).path
            for base, name in ((single, "a.safetensors"), (folder, "b"))]  # fmt: skip
    with Checkpoint(outs[0]) as a, Checkpoint(outs[1]) as b, Checkpoint(folder) as before:
        view = spelled_like(a, b)
        changed = [name for name in b if b.raw(name).tobytes() != before.raw(name).tobytes()]
        assert len(changed) == 3
        for name in b:
            assert view.raw(name).tobytes() == b.raw(name).tobytes(), name


CONFIGS = {
    "loha with cores": LoHaConfig(r=3, alpha=2, target_modules=UNET, init_weights=False,
                                  use_effective_conv2d=True),
    "lokr with cores, both factors": LoKrConfig(
        r=2, alpha=3, target_modules=UNET, init_weights=False, use_effective_conv2d=True,
        decompose_both=True, decompose_factor=4),
    "lokr of full factors": LoKrConfig(r=64, alpha=3, target_modules=UNET, init_weights=False),
    "lora, rank-stabilised, patterns": LoraConfig(
        r=4, lora_alpha=3, target_modules=UNET, init_lora_weights=False, use_rslora=True,
        rank_pattern={"to_q": 2}, alpha_pattern={"to_q": 5, "mid_block.resnets.0.conv1": 7}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_adapter_does_what_peft_does_with_it(tiny, tmp_path, kind):
    """Beside its config, without which nothing would say the scale."""
    torch.manual_seed(0)
    unet, vae, text = tiny_modules()
    model = get_peft_model(unet, CONFIGS[kind])
    model.save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter/adapter_model.safetensors"
    assert all(key.startswith("base_model.model.") for key in load_file(path))
    out = apply(tiny, path, tmp_path / "out.safetensors", fuzz=True).path
    expected = to_ldm(model.merge_and_unload(), vae, text)
    same(load_file(out), expected, load_file(tiny), 20)


@pytest.mark.parametrize("config, message", [
    ({"peft_type": "OFT"}, "peft_type is 'OFT'; known are LORA, LOHA, LOKR"),
    ({"lora_alpha": "2"}, "an alpha is '2', and must be a number"),
    ({"lora_alpha": 2, "alpha_pattern": {"(a+)+": 1}}, r"alpha_pattern has \(a\+\)\+"),
    ({"lora_alpha": 2, "alpha_pattern": [1]}, "alpha_pattern is not a table"),
])  # fmt: skip
def test_a_config_that_is_not_understood_is_refused(tiny, tmp_path, config, message):
    key = "base_model.model.conv_in"
    shape = load_file(tiny)["model.diffusion_model.input_blocks.0.0.weight"].shape
    save_file({f"{key}.lora_A.weight": torch.ones(1, *shape[1:]),
               f"{key}.lora_B.weight": torch.ones(shape[0], 1, 1, 1)},
              tmp_path / "adapter_model.safetensors")  # fmt: skip
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(Exception, match=message) as caught:
        apply(tiny, tmp_path / "adapter_model.safetensors", tmp_path / "out", fuzz=True)
    assert type(caught.value).__name__ == "BadCheckpoint" and not (tmp_path / "out").exists()
