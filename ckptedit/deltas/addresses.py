"""Where a base keeps what a file calls a module, in whatever spelling either has it.

Every name comes down to one form: the component, and diffusers' or the single file's name with
underscores, as kohya's scripts write it. A base answers to all spellings of its weights: its own,
its family's other one, and what a packed weight's parts, or a split weight's whole, are called
elsewhere. Tables of architectures without a family: `packings.py`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from ckptedit.deltas.keys import BIAS, WEIGHT
from ckptedit.deltas.packings import packings
from ckptedit.deltas.rows import Place
from ckptedit.errors import BadCheckpoint
from ckptedit.families import Family, detect
from ckptedit.families.detect import HasShape
from ckptedit.families.names import translate, unet_table
from ckptedit.families.spelling import common_names, vae_sizes
from ckptedit.families.stored import OPEN_CLIP, OPEN_CLIP_ENDS
from ckptedit.files import escape

STARTS = {  # what a name begins with -> the component that it is of; "": what follows says it
    "base_model.model.": "",
    "lora_unet_": "denoiser",
    "lora_transformer_": "denoiser",
    "lora_prior_unet_": "denoiser",
    "lycoris_": "denoiser",
    "model.diffusion_model.": "denoiser",
    "diffusion_model.": "denoiser",
    "unet.": "denoiser",
    "transformer.": "denoiser",
    "net.": "denoiser",
    "lora_te_": "text 1",
    "lora_te1_": "text 1",
    "lora_te2_": "text 2",
    "lora_te3_": "text 3",
    "text_encoder.": "text 1",
    "text_encoder_2.": "text 2",
    "text_encoder_3.": "text 3",
    "text_encoders.clip_l.transformer.": "text 1",
    "text_encoders.clip_h.transformer.": "text 1",
    "text_encoders.clip_g.transformer.": "text 2",
}
OLD_TEXT = {  # diffusers once called the attention of its text encoders as that of its UNets
    "self_attn_to_q": "self_attn_q_proj",
    "self_attn_to_k": "self_attn_k_proj",
    "self_attn_to_v": "self_attn_v_proj",
    "self_attn_to_out": "self_attn_out_proj",
}
ENDS = ("_weight", WEIGHT)  # in_proj_weight is a weight as well


def plain(module: str) -> str:
    """The one form of a module's name: "denoiser/down_blocks_0_attentions_0_..._attn2_to_k"."""
    component, rest, found = "", module, True
    while found:
        found = False
        for start, its in STARTS.items():
            if rest.startswith(start) and not (component and its):
                component, rest, found = component or its, rest.removeprefix(start), True
    rest = rest.replace(".processor.", ".").replace(".", "_")
    if component.startswith("text"):
        rest = rest.removeprefix("text_model_")
        for old, new in OLD_TEXT.items():
            rest = re.sub(f"{old}$", new, rest)
    elif rest.endswith("_to_out"):  # the processors of diffusers' attention left out the 0
        rest += "_0"
    rest = re.sub("^text_conditioner_", "llm_adapter_", rest)  # Anima's, in a folder of its own
    return f"{component or 'denoiser'}/{rest}"


class Addresses:
    """The modules of a base: a checkpoint, or its header."""

    def __init__(self, base: Mapping[str, HasShape]) -> None:
        self.base = base
        self._places: dict[str, tuple[Place, ...] | None] = {}  # None: it may mean two weights
        for module, places in self._all():
            form = plain(module)
            if self._places.setdefault(form, places) != places:
                self._places[form] = None

    def find(self, module: str, *, bias: bool = False) -> tuple[Place, ...] | None:
        """The rows that make up a module's weight, or bias; None if the base has none such.

        Raises BadCheckpoint if the name may mean two of its weights.
        """
        form = plain(module)
        if form not in self._places:
            return None
        places = self._places[form]
        if places is None:
            label = getattr(self.base, "label", "the base")
            raise BadCheckpoint(f"{label} has two weights that {escape(module)} may mean")
        if bias:
            places = tuple(place._replace(name=bias_of(place.name)) for place in places)
        return places if all(place.name in self.base for place in places) else None

    def _all(self) -> Iterator[tuple[str, tuple[Place, ...]]]:
        """Every name of every module, and where it is."""
        for name in self.base:
            if not name.endswith(BIAS):
                yield module_of(name), (self._whole(name),)
        yield from self._of_family()
        for rows, module in packings(self.base):
            yield module, joined(Place(*run) for run in rows)

    def _of_family(self) -> Iterator[tuple[str, tuple[Place, ...]]]:
        try:
            family = detect(self.base)
        except BadCheckpoint:
            return
        if family.blocks is None:  # `packings` has its names
            return
        weights = [name for name in self.base if name.endswith(ENDS)]
        table = unet_table(family.blocks)
        packed: dict[str, dict[int, Place]] = {}
        for common, source in common_names(weights, family, vae_sizes(self.base)):
            place = self._whole(source.name)
            if source.part is not None:
                third = place.stop // 3
                place = place._replace(start=source.part * third, stop=(source.part + 1) * third)
            yield module_of(common), (place,)
            for other, part in other_names(common, family, table):
                if part is None:
                    yield other, (place,)
                else:
                    packed.setdefault(other, {})[part] = place
        for other, parts in packed.items():
            if len(parts) == 3:
                yield other, joined(parts[part] for part in range(3))

    def _whole(self, name: str) -> Place:
        shape = self.base[name].shape
        return Place(name, 0, shape[0] if shape else 1)


def module_of(name: str) -> str:
    """What a weight's module is called: its name, without what says that it is a weight."""
    return name.removesuffix(WEIGHT)


def bias_of(weight: str) -> str:
    """What the bias beside a weight is called."""
    for end, bias in ((WEIGHT, BIAS), ("_weight", "_bias")):
        if weight.endswith(end):
            return weight.removesuffix(end) + bias
    return weight + BIAS


def joined(places: Iterable[Place]) -> tuple[Place, ...]:
    """Places in order, those that follow on each other as one."""
    found: list[Place] = []
    for place in places:
        if found and found[-1].name == place.name and found[-1].stop == place.start:
            found[-1] = found[-1]._replace(stop=place.stop)
        else:
            found.append(place)
    return tuple(found)


def other_names(
    common: str, family: Family, table: dict[str, str]
) -> Iterator[tuple[str, int | None]]:
    """What a single file calls what is `common` in a folder; and of packed ones, which third."""
    if common.startswith("unet."):
        try:
            yield module_of(family.unet_prefix + translate(common[len("unet.") :], table)), None
        except BadCheckpoint:  # no part of this architecture
            return
    for reader in family.readers:
        start = f"{reader.component}."
        if common.startswith(start) and reader.layout == "open_clip":
            yield from _open_clip(common.removeprefix(start), reader.prefix)
        elif common.startswith(start):
            yield module_of(f"{reader.prefix}text_model.{common.removeprefix(start)}"), None


def _open_clip(name: str, prefix: str) -> Iterator[tuple[str, int | None]]:
    if name in OPEN_CLIP_ENDS:
        yield module_of(prefix + OPEN_CLIP_ENDS[name]), None
    if match := re.fullmatch(r"encoder\.layers\.([0-9]{1,4})\.(.+)\.weight", name):
        block = f"{prefix}transformer.resblocks.{match[1]}."
        if packed := re.fullmatch(r"self_attn\.([qkv])_proj", match[2]):
            for end in ("attn.in_proj_weight", "attn.in_proj"):
                yield block + end, "qkv".index(packed[1])
        elif match[2] in OPEN_CLIP:
            yield block + OPEN_CLIP[match[2]], None
