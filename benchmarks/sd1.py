"""Synthetic checkpoints with the tensor names of Stable Diffusion 1.5, at any width.

A base is N(0, 0.02²); a fine-tune adds N(0, 5e-4²) to UNet and text encoder, and leaves the VAE as
it is. Everything is fp16. The default width makes 0.97 GB, of which the largest tensor, the token
embedding, has its real size.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ckptedit.files import Spec, write

Shapes = dict[str, tuple[int, ...]]
WIDTH = 184  # channels of the UNet's first level; 320 in the published model
BLOCK = 1 << 20


def affine(name: str, *weight: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": weight} | ({f"{name}.bias": weight[:1]} if bias else {})


def res_block(name: str, read: int, out: int, time: int) -> Shapes:
    shapes = affine(f"{name}.in_layers.0", read) | affine(f"{name}.in_layers.2", out, read, 3, 3)
    shapes |= affine(f"{name}.emb_layers.1", out, time) | affine(f"{name}.out_layers.0", out)
    shapes |= affine(f"{name}.out_layers.3", out, out, 3, 3)
    return shapes | (affine(f"{name}.skip_connection", out, read, 1, 1) if read != out else {})


def attention(name: str, width: int, context: int = 768) -> Shapes:
    shapes = affine(f"{name}.norm", width) | affine(f"{name}.proj_in", width, width, 1, 1)
    block = f"{name}.transformer_blocks.0"
    for attn, keys in (("attn1", width), ("attn2", context)):
        shapes |= affine(f"{block}.{attn}.to_q", width, width, bias=False)
        shapes |= affine(f"{block}.{attn}.to_k", width, keys, bias=False)
        shapes |= affine(f"{block}.{attn}.to_v", width, keys, bias=False)
        shapes |= affine(f"{block}.{attn}.to_out.0", width, width)
    shapes |= affine(f"{block}.ff.net.0.proj", 8 * width, width)
    shapes |= affine(f"{block}.ff.net.2", width, 4 * width)
    for norm in ("norm1", "norm2", "norm3"):
        shapes |= affine(f"{block}.{norm}", width)
    return shapes | affine(f"{name}.proj_out", width, width, 1, 1)


def unet(width: int) -> Shapes:
    time, levels, out, index = 4 * width, [width, 2 * width, 4 * width, 4 * width], {}, 1
    out |= affine("time_embed.0", time, width) | affine("time_embed.2", time, time)
    out |= affine("input_blocks.0.0", width, 4, 3, 3)
    skips, read = [width], width
    for level, channels in enumerate(levels):
        for _ in range(2):
            out |= res_block(f"input_blocks.{index}.0", read, channels, time)
            out |= attention(f"input_blocks.{index}.1", channels) if level < 3 else {}
            skips.append(channels)
            read, index = channels, index + 1
        if level < 3:
            out |= affine(f"input_blocks.{index}.0.op", channels, channels, 3, 3)
            skips.append(channels)
            index += 1
    out |= res_block("middle_block.0", read, read, time) | attention("middle_block.1", read)
    out |= res_block("middle_block.2", read, read, time)
    for index in range(12):
        level = 3 - index // 3
        channels = levels[level]
        out |= res_block(f"output_blocks.{index}.0", read + skips.pop(), channels, time)
        out |= attention(f"output_blocks.{index}.1", channels) if level < 3 else {}
        if index % 3 == 2 and level:
            place = 2 if level < 3 else 1
            out |= affine(f"output_blocks.{index}.{place}.conv", channels, channels, 3, 3)
        read = channels
    out |= affine("out.0", width) | affine("out.2", 4, width, 3, 3)
    return {f"model.diffusion_model.{name}": shape for name, shape in out.items()}


def vae() -> Shapes:
    def block(name: str, read: int, out: int) -> Shapes:
        shapes = affine(f"{name}.norm1", read) | affine(f"{name}.conv1", out, read, 3, 3)
        shapes |= affine(f"{name}.norm2", out) | affine(f"{name}.conv2", out, out, 3, 3)
        return shapes | (affine(f"{name}.nin_shortcut", out, read, 1, 1) if read != out else {})

    def middle(half: str) -> Shapes:
        shapes = block(f"{half}.mid.block_1", 512, 512) | block(f"{half}.mid.block_2", 512, 512)
        shapes |= affine(f"{half}.mid.attn_1.norm", 512)
        for name in ("q", "k", "v", "proj_out"):
            shapes |= affine(f"{half}.mid.attn_1.{name}", 512, 512, 1, 1)
        return shapes

    levels, out, read = [128, 256, 512, 512], affine("encoder.conv_in", 128, 3, 3, 3), 128
    for level, channels in enumerate(levels):
        for i in range(2):
            out |= block(f"encoder.down.{level}.block.{i}", read, channels)
            read = channels
        if level < 3:
            out |= affine(f"encoder.down.{level}.downsample.conv", channels, channels, 3, 3)
    out |= middle("encoder") | affine("encoder.norm_out", 512)
    out |= affine("encoder.conv_out", 8, 512, 3, 3) | affine("decoder.conv_in", 512, 4, 3, 3)
    out |= middle("decoder")
    for level in reversed(range(4)):
        for i in range(3):
            out |= block(f"decoder.up.{level}.block.{i}", read, levels[level])
            read = levels[level]
        if level:
            out |= affine(f"decoder.up.{level}.upsample.conv", read, read, 3, 3)
    out |= affine("decoder.norm_out", 128) | affine("decoder.conv_out", 3, 128, 3, 3)
    out |= affine("quant_conv", 8, 8, 1, 1) | affine("post_quant_conv", 4, 4, 1, 1)
    return {f"first_stage_model.{name}": shape for name, shape in out.items()}


def text_encoder(width: int = 768, layers: int = 12, words: int = 49408) -> Shapes:
    out: Shapes = {
        "embeddings.token_embedding.weight": (words, width),
        "embeddings.position_embedding.weight": (77, width),
    }
    for i in range(layers):
        layer = f"encoder.layers.{i}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            out |= affine(f"{layer}.self_attn.{name}", width, width)
        out |= affine(f"{layer}.layer_norm1", width) | affine(f"{layer}.layer_norm2", width)
        out |= affine(f"{layer}.mlp.fc1", 4 * width, width)
        out |= affine(f"{layer}.mlp.fc2", width, 4 * width)
    out |= affine("final_layer_norm", width)
    return {f"cond_stage_model.transformer.text_model.{name}": s for name, s in out.items()}


def sd1(width: int = WIDTH) -> Shapes:
    """Name -> shape, 1066 M parameters at width 320."""
    return unet(width) | vae() | text_encoder()


def small() -> Shapes:
    """A fifth of `sd1()`, for peers that are too slow for more."""
    return unet(96) | text_encoder(words=4096, layers=6)


def synthesize(path: Path, shapes: Shapes, tune: int = 0) -> None:
    """Writes the base, or with tune > 0 one of its fine-tunes, unless the file is there."""
    if path.exists():
        return

    def tensor(index: int, name: str, spec: Spec) -> Iterator[np.ndarray]:
        for start in range(0, spec.numel, BLOCK):
            count = min(BLOCK, spec.numel - start)
            place = [index, start]
            base = np.random.default_rng([0, *place]).standard_normal(count, np.float32) * 0.02
            if tune and not name.startswith("first_stage_model."):
                change = np.random.default_rng([tune, *place]).standard_normal(count, np.float32)
                base = base.astype(np.float16).astype(np.float32) + change * 5e-4
            yield base.astype(np.float16)

    specs = [Spec(name, "F16", shape) for name, shape in shapes.items()]
    write(path, specs, (tensor(i, s.name, s) for i, s in enumerate(specs)), {"format": "pt"})
