"""Where each tensor of a checkpoint in the other spelling comes from, by names and shapes alone.

Three things differ beside names. A VAE's attention is [c, c] in a folder and [c, c, 1, 1] in a
single file; OpenCLIP packs q, k and v of a layer into one matrix, which transformers keeps apart;
and the projection of its text is the transpose of transformers'. No number is changed by any.

A text encoder's names always get `text_model.`, as every loader reads them; transformers 5.6 and
later write a CLIPTextModel without, and the script that diffusers has for single files passes that
on, to names which no user interface knows. The names are those of diffusers'
`loaders/single_file_utils.py`, with which the tests compare.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ckptedit.errors import BadCheckpoint
from ckptedit.families import Family
from ckptedit.families.detect import HasShape
from ckptedit.families.family import Reader
from ckptedit.families.names import VAE_ATTENTION, translate, unet_table, vae_table
from ckptedit.families.spelling import common_names, vae_sizes
from ckptedit.families.stored import OPEN_CLIP, OPEN_CLIP_ENDS, Source
from ckptedit.files import escape

PART = re.compile(r"(?:embeddings|encoder|final_layer_norm)\.")  # of a text encoder, not its ends
LAYER = re.compile(r"encoder\.layers\.([0-9]{1,4})\.")
MATRIX = re.compile(r"encoder\.layers\.([0-9]{1,4})\.(.+)\.(weight|bias)")
PROJECTION, OPEN_PROJECTION = "text_projection.weight", "text_projection"
SQUARES = tuple(f"mid_block.attentions.0.{part}.weight" for part in VAE_ATTENTION if "to_" in part)


@dataclass(frozen=True)
class Origin:
    """A tensor of the output.

    parts:  stored tensors that it consists of, one after the other
    third:  which third of the rows of the stored one it is, 0, 1 or 2; None: all of it
    turned: whether it is the transpose
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[str, ...]
    third: int | None = None
    turned: bool = False


@dataclass(frozen=True)
class Conversion:
    """All tensors of the output, and the stored ones that have no place in it."""

    origins: tuple[Origin, ...]
    left_out: tuple[str, ...]


def to_folder(
    tensors: Mapping[str, HasShape], family: Family, depths: Mapping[str, int]
) -> Conversion:
    """The tensors of a diffusers folder, each with its component in front.

    depths: text encoder -> how many layers its config has; what a file has beyond is left out
    Raises BadCheckpoint if a packed matrix is not three of a kind.
    """
    found: list[Origin] = []
    for common, source in _common(tensors, family):
        shape = tensors[source.name].shape
        component, _, rest = common.partition(".")
        if component.startswith("text_encoder"):
            layer = LAYER.match(rest)
            if layer and int(layer[1]) >= depths.get(component, 0):
                continue
            rest = rest if rest == PROJECTION else f"text_model.{rest}"
        if component == "vae" and rest.endswith(SQUARES) and shape[2:] == (1, 1):
            shape = shape[:2]
        if source.part is not None:
            shape = _third(source.name, shape)
        turned = rest == PROJECTION and source.name.endswith(OPEN_PROJECTION)
        name = f"{component}.{rest}"
        found.append(Origin(name, shape[::-1] if turned else shape, (source.name,), source.part,
                            turned))  # fmt: skip
    return _conversion(tensors, found)


def _common(tensors: Mapping[str, HasShape], family: Family) -> Iterator[tuple[str, Source]]:
    """As `common_names`, of a pipeline's components alone, with the projection of pooled text."""
    kept = {"unet", "vae", *(reader.component for reader in family.readers)}
    for common, source in common_names(tensors, family, vae_sizes(tensors)):
        component, _, rest = common.partition(".")
        if component in kept and (not component.startswith("text") or PART.match(rest)):
            yield common, source
    for reader in family.readers:
        if reader.pooled and (name := reader.prefix + OPEN_PROJECTION) in tensors:
            yield f"{reader.component}.{PROJECTION}", Source(name)


def _third(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if not shape or shape[0] % 3:
        raise BadCheckpoint(f"{escape(name)} is {list(shape)}, not q, k and v in one")
    return (shape[0] // 3, *shape[1:])


def to_single(tensors: Mapping[str, HasShape], family: Family) -> Conversion:
    """The tensors of a single file. Raises BadCheckpoint if one of q, k and v is missing."""
    unet = unet_table(family.blocks) if family.blocks else {}
    vae = vae_table(*vae_sizes(tensors))
    readers = {f"{reader.component}.": reader for reader in family.readers}
    found: dict[str, Origin] = {}
    packed: dict[str, dict[int, str]] = {}
    for common, source in common_names(tensors, family, vae_sizes(tensors)):
        stored, shape = source.name, tensors[source.name].shape
        component, _, rest = common.partition(".")
        if component == "unet":
            name = family.unet_prefix + translate(rest, unet)
        elif component == "vae":
            name = family.vae_prefix + translate(rest, vae)
            shape = (*shape, 1, 1) if rest.endswith(SQUARES) and len(shape) == 2 else shape
        elif reader := readers.get(f"{component}."):
            bare, third = _of_reader(rest, reader)
            if bare is None:
                continue
            name = reader.prefix + bare
            if third is not None:
                packed.setdefault(name, {})[third] = stored
                shape = (3 * shape[0], *shape[1:])
            elif bare == OPEN_PROJECTION:
                found[name] = Origin(name, shape[::-1], (stored,), turned=True)
                continue
        else:
            continue
        found.setdefault(name, Origin(name, shape, (stored,)))
    for name, thirds in packed.items():
        found[name] = _packed(found[name], thirds, tensors)
    return _conversion(tensors, list(found.values()))


def _of_reader(name: str, reader: Reader) -> tuple[str | None, int | None]:
    """A text encoder's tensor in a single file: what stands after the prefix, and the third of it.

    name: transformers', without `text_model.`; None: it has none
    """
    if reader.layout == "clip":
        return (f"text_model.{name}" if PART.match(name) else None), None
    if name == PROJECTION:
        return (OPEN_PROJECTION if reader.pooled else None), None
    if name in OPEN_CLIP_ENDS:
        return OPEN_CLIP_ENDS[name], None
    if not (match := MATRIX.fullmatch(name)):
        return None, None
    block, module, end = f"transformer.resblocks.{match[1]}", match[2], match[3]
    if letter := re.fullmatch(r"self_attn\.([qkv])_proj", module):
        return f"{block}.attn.in_proj_{end}", "qkv".index(letter[1])
    return (f"{block}.{OPEN_CLIP[module]}.{end}" if module in OPEN_CLIP else None), None


def _packed(first: Origin, thirds: Mapping[int, str], tensors: Mapping[str, HasShape]) -> Origin:
    """The matrix that q, k and v make together."""
    if len(thirds) < 3:
        lacking = "qkv"[min({0, 1, 2} - thirds.keys())]
        raise BadCheckpoint(f"beside {escape(next(iter(thirds.values())))} there is no {lacking}")
    parts = tuple(thirds[i] for i in range(3))
    kinds = {(tensors[part].shape, getattr(tensors[part], "dtype", None)) for part in parts}
    if len(kinds) > 1:
        raise BadCheckpoint(f"{escape(parts[0])}, k and v differ in shape or dtype")
    return Origin(first.name, first.shape, parts)


def _conversion(tensors: Mapping[str, HasShape], found: list[Origin]) -> Conversion:
    used = {part for origin in found for part in origin.parts}
    return Conversion(tuple(found), tuple(name for name in tensors if name not in used))
