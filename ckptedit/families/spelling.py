"""One model, two spellings: its tensors in a single file, and in a folder of diffusers components.

`spelled_like` shows an open checkpoint under the names of another, so that whatever compares or
combines two of them need not know that they are spelled otherwise.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from ckptedit.errors import BadCheckpoint
from ckptedit.families.detect import HasShape, detect
from ckptedit.families.family import Family
from ckptedit.families.kv import LDM_MODULES
from ckptedit.families.names import inverse, translate, unet_table, vae_table
from ckptedit.families.stored import OLD_VAE_ATTENTION, OPEN_CLIP, OPEN_CLIP_ENDS, Source
from ckptedit.files import Checkpoint, TensorInfo

DIFFUSERS_MODULES = (
    "down_blocks.", "mid_block.", "up_blocks.", "time_embedding.", "add_embedding.", "conv_in.",
    "conv_norm_out.", "conv_out.",
)  # fmt: skip
PACKED = re.compile(r"transformer\.resblocks\.([0-9]{1,4})\.attn\.in_proj_(weight|bias)")
VAE_LEVEL = re.compile(
    r"(?:first_stage_model\.encoder\.down|vae\.encoder\.down_blocks)\.([0-9]{1,4})\."
)
VAE_LAYER = re.compile(r"encoder\.down(?:_blocks)?\.[0-9]{1,4}\.(?:block|resnets)\.([0-9]{1,4})\.")


def spelled_like(checkpoint: Checkpoint, like: Checkpoint) -> Checkpoint:
    """The same open checkpoint under the names of another of its family; itself if it has them.

    A tensor without a counterpart keeps its name. The four matrices of a VAE's attention get the
    other's shape, [c, c] or [c, c, 1, 1]; packed q, k, v come apart where the other has them apart
    (but do not come together where it has them packed). The view shares the open files: closing
    either closes both.
    """
    moved = counterparts(checkpoint, like)
    if not moved:
        return checkpoint
    places: dict[str, list[tuple[str, int | None]]] = {}
    for name, source in moved.items():
        places.setdefault(source.name, []).append((name, source.part))
    infos = {}
    for name, info in checkpoint.items():
        for new, part in sorted(places.get(name, [(name, None)]), key=lambda p: p[1] or 0):
            infos[new] = _placed(new, part, info, like.get(new))
    return checkpoint.view(infos)


def _placed(name: str, part: int | None, info: TensorInfo, like: TensorInfo | None) -> TensorInfo:
    """Where a tensor of another name is: all bytes of the stored one, or a third of its rows."""
    shape, nbytes = info.shape, info.nbytes
    if part is not None:
        shape, nbytes = (shape[0] // 3, *shape[1:]), nbytes // 3
    if like and same_shape(like.shape, shape):
        shape = like.shape
    return TensorInfo(
        name, info.dtype, shape, info.offset + (part or 0) * nbytes, nbytes, info.file
    )


def same_shape(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether shapes are the same but for a convolution of 1 x 1: [c, c] and [c, c, 1, 1]."""
    return _squeezed(one) == _squeezed(other)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] == (1, 1) else shape


def counterparts(
    tensors: Mapping[str, HasShape], like: Mapping[str, HasShape]
) -> dict[str, Source]:
    """Names in `like` that `tensors` lacks -> where `tensors` keeps the same weights.

    tensors: a checkpoint or a part of one; like: a whole one, which tells the family
    Empty if the family is not known, or the names of one are all in the other.
    """
    strange = [name for name in tensors if name not in like]
    if not strange or all(name in tensors for name in like):
        return {}
    try:
        family = detect(like)
    except BadCheckpoint:
        return {}
    if family.blocks is None:  # no table of its names is known here
        return {}
    sizes = vae_sizes([*like, *tensors])
    ours = dict(common_names(strange, family, sizes))
    theirs = dict(common_names((name for name in like if name not in tensors), family, sizes))
    found = {}
    for common, there in theirs.items():
        here = ours.get(common)
        if here is not None and (there.part is None or there.part == here.part):
            part = here.part if there.part is None else None  # packed in both: taken as it is
            found[there.name] = Source(here.name, part)
    return {name: source for name, source in found.items() if _splits(tensors, source)}


def _splits(tensors: Mapping[str, HasShape], source: Source) -> bool:
    shape = tensors[source.name].shape
    return source.part is None or (len(shape) > 0 and shape[0] % 3 == 0)


def stored_name(tensors: Iterable[str], family: Family, common: str) -> str:
    """Where a checkpoint keeps what a diffusers folder calls `common`; BadCheckpoint if nowhere."""
    for name, source in common_names(tensors, family):
        if name == common and source.part is None:
            return source.name
    raise BadCheckpoint(f"the checkpoint has no {common}")


def vae_sizes(names: Iterable[str]) -> tuple[int, int]:
    """(levels, layers) of the VAE that tensors of a model belong to."""
    levels, layers = 0, 0
    for name in names:
        if match := VAE_LEVEL.match(name):
            levels = max(levels, int(match[1]) + 1)
            if match := VAE_LAYER.search(name):
                layers = max(layers, int(match[1]) + 1)
    return (levels, layers) if 0 < levels < 16 and 0 < layers < 16 else (4, 2)


def common_names(
    names: Iterable[str], family: Family, vae: tuple[int, int] = (4, 2)
) -> Iterator[tuple[str, Source]]:
    """(what a diffusers folder calls a tensor, its stored name), of those that it has.

    vae: levels, and layers of each, of the VAE
    """
    unet_names = inverse(unet_table(family.counted()))
    vae_names = inverse(vae_table(*vae))
    for name in names:
        try:
            for common, part in _common(name, family, unet_names, vae_names):
                yield common, Source(name, part)
        except BadCheckpoint:  # no part of this architecture
            continue


def _common(
    name: str, family: Family, unet: Mapping[str, str], vae: Mapping[str, str]
) -> list[tuple[str, int | None]]:
    if name.startswith(family.unet_prefix):
        return [("unet." + translate(name.removeprefix(family.unet_prefix), unet), None)]
    if name.startswith(family.vae_prefix):
        return [("vae." + translate(name.removeprefix(family.vae_prefix), vae), None)]
    if name.startswith("unet."):
        return [(name, None)]
    if name.startswith("vae."):
        return [(_new_attention(name), None)]
    if name.startswith(LDM_MODULES):
        return [("unet." + translate(name, unet), None)]
    if name.startswith(DIFFUSERS_MODULES):
        return [("unet." + name, None)]
    return _text(name, family)


def _text(name: str, family: Family) -> list[tuple[str, int | None]]:
    encoders = [(reader.prefix, f"{reader.component}.", reader.layout) for reader in family.readers]
    encoders += [("text_encoder.", "", "clip"), ("text_encoder_2.", "", "clip")]
    for prefix, component, layout in encoders:
        if name.startswith(prefix):
            bare, start = name.removeprefix(prefix), component or prefix
            if layout == "open_clip":
                return [(start + common, part) for common, part in _from_open_clip(bare)]
            return [(start + bare.removeprefix("text_model."), None)]
    return []


def _from_open_clip(name: str) -> list[tuple[str, int | None]]:
    """Names of transformers' for one of OpenCLIP's, with the third of a packed one."""
    for theirs, ours in OPEN_CLIP_ENDS.items():
        if name == ours:
            return [(theirs, None)]
    if match := PACKED.fullmatch(name):
        start = f"encoder.layers.{match[1]}.self_attn"
        return [(f"{start}.{letter}_proj.{match[2]}", i) for i, letter in enumerate("qkv")]
    if match := re.fullmatch(r"transformer\.resblocks\.([0-9]{1,4})\.(.+)\.(weight|bias)", name):
        for theirs, ours in OPEN_CLIP.items():
            if match[2] == ours:
                return [(f"encoder.layers.{match[1]}.{theirs}.{match[3]}", None)]
    return []


def _new_attention(name: str) -> str:
    for new, old in OLD_VAE_ATTENTION.items():
        name = name.replace(f".mid_block.attentions.0.{old}.", f".mid_block.attentions.0.{new}.")
    return name
