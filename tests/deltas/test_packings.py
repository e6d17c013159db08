"""Fused and split: a file does the same to a single file as to the folder of the same model.

What a folder has of a single file is said by diffusers' own converters of checkpoints, at widths
of 8: a file is applied to both, and what came of the single file is converted afterwards.
"""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.loaders import lora_conversion_utils, single_file_utils
from safetensors.torch import load_file, save_file

from ckptedit.deltas import apply
from ckptedit.errors import BadCheckpoint, DoesNotFit

H = 8  # the width of every model; 3072 and the like in truth


def both(*modules):
    return {f"{m}.{end}": shape for m, *shape in modules for end in ("weight", "bias")}


FLUX = both(
    ("img_in", H, 4), ("txt_in", H, 6), ("time_in.in_layer", H, 3), ("time_in.out_layer", H, H),
    ("vector_in.in_layer", H, 5), ("vector_in.out_layer", H, H), ("guidance_in.in_layer", H, 3),
    ("guidance_in.out_layer", H, H), ("final_layer.linear", 4, H),
    ("final_layer.adaLN_modulation.1", 2 * H, H),
    *((f"double_blocks.0.{s}_attn.qkv", 3 * H, H) for s in ("img", "txt")),
    *((f"double_blocks.0.{s}_attn.proj", H, H) for s in ("img", "txt")),
    *((f"double_blocks.0.{s}_mod.lin", 6 * H, H) for s in ("img", "txt")),
    *((f"double_blocks.0.{s}_mlp.0", 4 * H, H) for s in ("img", "txt")),
    *((f"double_blocks.0.{s}_mlp.2", H, 4 * H) for s in ("img", "txt")),
    ("single_blocks.0.linear1", 7 * H, H), ("single_blocks.0.linear2", H, 5 * H),
    ("single_blocks.0.modulation.lin", 3 * H, H),
) | {
    **{f"double_blocks.0.{s}_attn.norm.{n}_norm.scale": (2,)
       for s in ("img", "txt") for n in ("query", "key")},
    **{f"single_blocks.0.norm.{n}_norm.scale": (2,) for n in ("query", "key")},
}  # fmt: skip
FLUX2 = {
    f"{module}.weight": shape
    for module, shape in {
        "img_in": (H, 4), "txt_in": (H, 6), "time_in.in_layer": (H, 3), "time_in.out_layer": (H, H),
        "guidance_in.in_layer": (H, 3), "guidance_in.out_layer": (H, H),
        "final_layer.linear": (4, H), "final_layer.adaLN_modulation.1": (2 * H, H),
        **{f"double_stream_modulation_{s}.lin": (6 * H, H) for s in ("img", "txt")},
        "single_stream_modulation.lin": (3 * H, H),
        **{f"double_blocks.0.{s}_attn.qkv": (3 * H, H) for s in ("img", "txt")},
        **{f"double_blocks.0.{s}_attn.proj": (H, H) for s in ("img", "txt")},
        **{f"double_blocks.0.{s}_mlp.0": (6 * H, H) for s in ("img", "txt")},
        **{f"double_blocks.0.{s}_mlp.2": (H, 3 * H) for s in ("img", "txt")},
        "single_blocks.0.linear1": (9 * H, H), "single_blocks.0.linear2": (H, 4 * H),
    }.items()
}  # fmt: skip
STREAMS = ("x_block", "context_block")
SD3 = both(
    ("x_embedder.proj", H, 4, 2, 2), ("context_embedder", H, 6), ("t_embedder.mlp.0", H, 3),
    ("t_embedder.mlp.2", H, H), ("y_embedder.mlp.0", H, 5), ("y_embedder.mlp.2", H, H),
    ("final_layer.linear", 4, H), ("final_layer.adaLN_modulation.1", 2 * H, H),
    *((f"joint_blocks.{i}.{s}.attn.qkv", 3 * H, H) for s in STREAMS for i in (0, 1)),
    *((f"joint_blocks.{i}.x_block.attn.proj", H, H) for i in (0, 1)),
    ("joint_blocks.0.context_block.attn.proj", H, H),
    *((f"joint_blocks.{i}.x_block.adaLN_modulation.1", 6 * H, H) for i in (0, 1)),
    ("joint_blocks.0.context_block.adaLN_modulation.1", 6 * H, H),
    ("joint_blocks.1.context_block.adaLN_modulation.1", 2 * H, H),
    *((f"joint_blocks.{i}.x_block.mlp.fc1", 4 * H, H) for i in (0, 1)),
    *((f"joint_blocks.{i}.x_block.mlp.fc2", H, 4 * H) for i in (0, 1)),
    ("joint_blocks.0.context_block.mlp.fc1", 4 * H, H),
    ("joint_blocks.0.context_block.mlp.fc2", H, 4 * H),
) | {"pos_embed": (1, 4, H)}  # fmt: skip
Z_BLOCKS = ("layers.0", "context_refiner.0", "noise_refiner.0")
Z_IMAGE = {
    **{f"{block}.attention.qkv.weight": (3 * H, H) for block in Z_BLOCKS},
    **{f"{block}.attention.out.weight": (H, H) for block in Z_BLOCKS},
    **{f"{block}.feed_forward.w1.weight": (2 * H, H) for block in Z_BLOCKS},
    **{f"{block}.attention.q_norm.weight": (4,) for block in Z_BLOCKS},
    **both(("x_embedder", H, 4), ("final_layer.linear", 4, H), ("cap_embedder.1", H, 6),
           ("final_layer.adaLN_modulation.1", H, H)),
}  # fmt: skip
COSMOS = {
    f"blocks.0.{module}.weight": shape
    for module, shape in {
        **{f"{a}_attn.{m}_proj": (H, H) for a in ("self", "cross")
           for m in ("q", "k", "v", "output")},
        **{f"adaln_modulation_{m}.{i}": (H, H) for m in ("self_attn", "cross_attn", "mlp")
           for i in (1, 2)},
        "mlp.layer1": (4 * H, H), "mlp.layer2": (H, 4 * H),
    }.items()
} | {
    "x_embedder.proj.1.weight": (H, 4), "t_embedder.1.linear_1.weight": (H, H),
    "t_embedder.1.linear_2.weight": (3 * H, H), "final_layer.linear.weight": (4, H),
    "final_layer.adaln_modulation.1.weight": (H, H),
    "final_layer.adaln_modulation.2.weight": (2 * H, H),
}  # fmt: skip
MODELS = {"flux": FLUX, "flux2": FLUX2, "sd3": SD3, "z_image": Z_IMAGE, "cosmos": COSMOS}


def converted(model, tensors):
    """The same weights as diffusers would have them, by its own converter for this width."""
    name = f"convert_{model}_transformer_checkpoint_to_diffusers"
    source = inspect.getsource(getattr(single_file_utils, name))
    scope = dict(vars(single_file_utils))
    exec(source.replace("inner_dim = 3072", f"inner_dim = {H}"), scope)  # a constant of Flux.1
    plain = {key.removeprefix("model.diffusion_model."): t for key, t in tensors.items()}
    if model == "cosmos":  # one of two layouts, told by a name
        plain = {f"net.{key}": value for key, value in plain.items()}
    return {key: value.contiguous() for key, value in scope[name](dict(plain)).items()}


def weights(model):
    generator = torch.Generator().manual_seed(0)
    return {f"model.diffusion_model.{key}": torch.randn(*shape, generator=generator).double()
            for key, shape in MODELS[model].items()}  # fmt: skip


def lora(key, weight, g):
    return {f"{key}.lora_B.weight": torch.randn(len(weight), 2, generator=g),
            f"{key}.lora_A.weight": torch.randn(2, weight[0].numel(), generator=g)}  # fmt: skip


def dora(key, weight, g):
    return lora(key, weight, g) | {f"{key}.dora_scale": torch.rand(len(weight), 1, generator=g)}


def by_column(key, weight, g):
    return lora(key, weight, g) | {f"{key}.dora_scale": torch.rand(1, weight.shape[1], generator=g)}


def lokr(key, weight, g):
    large = torch.randn(len(weight) // 2, weight.shape[1], generator=g)
    return {f"{key}.lokr_w1": torch.randn(2, 1, generator=g), f"{key}.lokr_w2": large}


def diff(key, weight, g):
    return {f"{key}.diff": torch.randn(weight.shape, generator=g)}


def values(key, weight, g):
    return {f"{key}.set_weight": torch.randn(weight.shape, generator=g)}


KINDS = [lora, dora, by_column, lokr, diff, values]


def mixed(key, weight, g):
    """Of every kind some, by the length of the name."""
    return KINDS[len(key) % len(KINDS)](key, weight, g)


CASES = [("flux", kind) for kind in KINDS] + [(model, mixed) for model in MODELS]


def file_for(tensors, kind, prefix):
    """A file that changes every matrix of a checkpoint; biases, too, if by differences."""
    g, found = torch.Generator().manual_seed(1), {}
    for name, weight in tensors.items():
        key = prefix + name.removeprefix("model.diffusion_model.").rsplit(".", 1)[0]
        if name.endswith(".weight") and weight.dim() == 2:
            found |= {k: v.double() for k, v in kind(key, weight, g).items()}
        elif name.endswith(".bias") and kind is diff:
            found[f"{key}.diff_b"] = torch.randn(weight.shape, generator=g).double()
    return found


def applied(base, file, folder: Path):
    for name, tensors in (("base", base), ("file", file)):
        save_file(tensors, folder / f"{name}.safetensors")
    base, file, out = (folder / f"{name}.safetensors" for name in ("base", "file", "out"))
    apply(base, file, out, fuzz=True, force=True)
    return load_file(out)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "split"])
@pytest.mark.parametrize("model, kind", CASES)
def test_a_file_does_the_same_to_a_single_file_and_to_a_folder(tmp_path, model, fused, kind):
    single = weights(model)
    apart = converted(model, single)
    prefix = "diffusion_model." if fused else "transformer."
    file = file_for(single if fused else apart, kind, prefix)
    once = converted(model, applied(single, file, tmp_path))
    twice = applied(apart, file, tmp_path)
    matrices = [name for name, t in apart.items() if name.endswith(".weight") and t.dim() == 2]
    assert once.keys() == twice.keys() and len(matrices) > 10
    for name, value in twice.items():
        np.testing.assert_allclose(once[name], value, atol=1e-9, err_msg=name)
    assert not any(torch.equal(twice[name], apart[name]) for name in matrices)


CONVERTERS = {
    "flux2": ("_convert_non_diffusers_flux2_lora_to_diffusers", "diffusion_model."),
    "flux": ("_convert_kohya_flux_lora_to_diffusers", "lora_unet_"),
    "cosmos": ("_convert_non_diffusers_anima_lora_to_diffusers", "diffusion_model."),
}


@pytest.mark.parametrize("model", CONVERTERS)
def test_diffusers_converts_the_file_to_one_that_does_the_same(tmp_path, model):
    """Its converters of LoRAs. That of Flux.1 knows single blocks of width 3072 only; that of
    Flux.2 leaves shift and scale of the last norm where they are, unlike that of its weights."""
    name, prefix = CONVERTERS[model]
    single = weights(model)
    left_out = "single_blocks" if model == "flux" else "final_layer.adaLN"
    file = file_for({k: t for k, t in single.items() if left_out not in k}, lora, prefix)
    if prefix == "lora_unet_":
        file = {_kohya(key): value for key, value in file.items()
                if "double_blocks" in key}  # fmt: skip
    theirs = getattr(lora_conversion_utils, name)(dict(file))
    ours = applied(single, file, tmp_path)
    found = applied(single, {k: v.clone() for k, v in theirs.items()}, tmp_path)
    assert len(theirs) >= len(file) and any(k not in file for k in theirs)
    for key, value in ours.items():
        np.testing.assert_allclose(found[key], value, atol=1e-9, err_msg=key)


def _kohya(key):
    module, end = key.split(".lora_")
    part = {"A.weight": "down", "B.weight": "up"}[end]
    return f"{module.replace('.', '_')}.lora_{part}.weight"


def test_q_and_v_alone_leave_k_as_it_is(tmp_path):
    single = weights("z_image")
    key = "transformer.layers.0.attention"
    weight = torch.empty(H, H)
    g = torch.Generator().manual_seed(2)
    file = {k: v.double() for part in ("to_q", "to_v")
            for k, v in lora(f"{key}.{part}", weight, g).items()}  # fmt: skip
    packed = "model.diffusion_model.layers.0.attention.qkv.weight"
    new, old = applied(single, file, tmp_path)[packed], single[packed]
    assert torch.equal(new[H : 2 * H], old[H : 2 * H])
    for rows, part in ((slice(H), "to_q"), (slice(2 * H, None), "to_v")):
        product = file[f"{key}.{part}.lora_B.weight"] @ file[f"{key}.{part}.lora_A.weight"]
        np.testing.assert_allclose(new[rows] - old[rows], product, atol=1e-12)


def test_parts_that_overlap_or_do_not_have_the_height_of_theirs_are_refused(tmp_path):
    single, g = weights("z_image"), torch.Generator()
    both = lora("diffusion_model.layers.0.attention.qkv", torch.empty(3 * H, H), g)
    both |= lora("transformer.layers.0.attention.to_k", torch.empty(H, H), g)
    with pytest.raises(BadCheckpoint, match=r"has two changes of .*qkv\.weight"):
        applied(single, both, tmp_path)
    tall = lora("transformer.layers.0.attention.to_k", torch.empty(H + 1, H), g)
    with pytest.raises(DoesNotFit, match=r"is \[9, 8\], not \[8, 8\] as .* has it"):
        applied(single, tall, tmp_path)
