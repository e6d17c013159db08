"""Files of other tools as deltas of a base: LoRA, LoHa, LoKr, DoRA, differences, new values.

What a key's end says is in `parts.py`, what a module is called in `addresses.py`, and what its
parts make in `kinds/`. Every part is checked when the file is opened; whatever is not understood,
or fits no module of the base, is refused by name.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from ckptedit.deltas.addresses import Addresses
from ckptedit.deltas.change import Change
from ckptedit.deltas.delta import Delta, is_delta
from ckptedit.deltas.entry import Entry
from ckptedit.deltas.keys import BIAS, WEIGHT
from ckptedit.deltas.kinds import KINDS, MAGNITUDES, Kind, Parts, by_column, decomposed, fits
from ckptedit.deltas.parts import OF_BIASES, holds_factors, part_of
from ckptedit.deltas.peft_config import alphas
from ckptedit.deltas.rows import BaseRows, Piece, Place, Stacked
from ckptedit.errors import BadCheckpoint, DoesNotFit, Incompatible
from ckptedit.files import Checkpoint, escape, require_weights
from ckptedit.files.bounded import parse_json
from ckptedit.files.dtypes import FLOATS, NATIVE

NUMBERS = FLOATS | (NATIVE.keys() - {"BOOL", "C64"})  # dtypes that a scale may have
EXPORT = "ckptedit.export"  # in the metadata of a file by `export`
KNOWN = "lora_up and lora_down or lora_A and lora_B, hada_*, lokr_*, dora_scale, diff, set_weight"


@dataclass(frozen=True)
class Module:
    """The change of a module, checked. name: as the file has it"""

    name: str
    kind: Kind
    parts: Parts
    weight: BaseRows

    @property
    def key(self) -> str:
        """What its keys begin with; of a difference, the whole key."""
        keys = self.parts.keys
        return keys.get("diff") or keys.get("diff_b") or self.name

    def change(self) -> Change:
        return self.kind.change(self.parts, self.weight)


@dataclass(frozen=True)
class Run:
    """Rows start to stop of a tensor of the base are a module's rows from `first` on."""

    start: int
    stop: int
    module: Module
    first: int


class ForeignDelta(Delta):
    """A file of another tool, for one base. Changes are read when asked for."""

    def __init__(self, checkpoint: Checkpoint, base: Checkpoint, modules: list[Module]) -> None:
        """Raises BadCheckpoint if two modules change the same rows."""
        self.base = base
        self.runs: dict[str, list[Run]] = defaultdict(list)
        for module in modules:
            first = 0
            for place in module.weight.places:
                run = Run(place.start, place.stop, module, first)
                self.runs[place.name].append(run)
                first += place.stop - place.start
        digests = exported_from(checkpoint)
        super().__init__(
            checkpoint, {name: self._entry(name, digests, checkpoint) for name in self.runs}
        )

    def _entry(self, name: str, digests: Mapping[str, str], file: Checkpoint) -> Entry:
        runs = sorted(self.runs[name], key=lambda run: run.start)
        if any(run.stop > after.start for run, after in pairwise(runs)):
            raise BadCheckpoint(f"{file.label} has two changes of {escape(name)}")
        keys = [run.module.key for run in runs]
        made_from = {digests.get(key) for key in keys}
        info = self.base[name]
        return Entry(
            key=keys[0],
            form=runs[0].module.kind.name,
            dtype=info.dtype,
            shape=info.shape,
            base=made_from.pop() if len(made_from) == 1 else None,
        )

    @property
    def one_way(self) -> str | None:
        runs = ((name, run) for name, runs in self.runs.items() for run in runs)
        return next((name for name, run in runs if run.module.kind.one_way), None)

    def spelled_like(self, base: Checkpoint) -> "ForeignDelta":
        return self  # it was opened for its base

    def change(self, name: str) -> Change:
        """The change of one tensor of the base. Raises BadCheckpoint if it holds NaN or Inf."""
        runs = self.runs[name]
        if runs[0].module.weight.whole == name:
            return runs[0].module.change()
        pieces = [Piece(run.start, run.stop, run.module.change(), run.first) for run in runs]
        return Stacked(pieces, runs[0].module.weight.width)


def require_whole(base: Checkpoint) -> None:
    """Raises Incompatible if what should be a checkpoint is a delta, a LoRA, or one like it."""
    if is_delta(base) or holds_factors(base):
        raise Incompatible(
            f"{base.label} is a delta or LoRA, and BASE must be a checkpoint: averaging factors is "
            "not averaging what they do; name the checkpoint first, and this file as an edit"
        )


def open_foreign(checkpoint: Checkpoint, base: Checkpoint, *, whole: bool = False) -> ForeignDelta:
    """A delta from a file of another tool, for the tensors of a base.

    whole: whether it may have new values of all of them
    Raises BadCheckpoint if it holds anything that is not understood, and DoesNotFit if a module is
    not the base's, or has another shape.
    """
    require_weights(checkpoint)
    found = dict(_grouped(checkpoint))
    if not found:
        raise BadCheckpoint(f"{checkpoint.label} holds no change: there is nothing to apply")
    if not whole and len(found) >= len(base) and not holds_factors(checkpoint):
        raise BadCheckpoint(
            f"{checkpoint.label} is no delta, but a whole checkpoint: `ckptedit diff BASE EDITED "
            "-o` makes a delta of it"
        )
    addresses = Addresses(base)
    places = {group: addresses.find(group[0], bias=group[1]) for group in found}
    strange = [module for (module, _), where in places.items() if where is None]
    if strange:
        raise DoesNotFit(
            f"{checkpoint.label} does not fit {base.label}: {len(strange)} of {len(found)} modules "
            f"have no weight there, such as {escape(strange[0])}"
        )
    scales = alphas(checkpoint)
    modules = []
    for (module, bias), keys in found.items():
        where = places[module, bias]
        assert where is not None
        parts = Parts(checkpoint, keys, scales(module))
        modules.append(_module(base, module, parts, where))
    return ForeignDelta(checkpoint, base, modules)


def holds_values_of(base: Checkpoint, edit: Checkpoint) -> bool:
    """Whether all tensors of a file are new values of modules of a base, in whatever spelling."""
    addresses = Addresses(base)
    groups = ((module, part in OF_BIASES) for module, part in map(_value_of, edit))
    return all(addresses.find(module, bias=bias) for module, bias in groups)


def exported_from(checkpoint: Checkpoint) -> dict[str, str]:
    """Of a file by `export`: what the keys of a change begin with -> sha256 of its tensor in the
    base; empty for a file of another tool. Raises BadCheckpoint if it is malformed."""
    if EXPORT not in checkpoint.metadata:
        return {}
    where = f"{checkpoint.label}: {EXPORT}"
    found = parse_json(checkpoint.metadata[EXPORT].encode(errors="surrogatepass"), where)
    if not all(isinstance(value, str) for value in found.values()):
        raise BadCheckpoint(f"{where} is not a table of digests")
    return found


Group = tuple[str, bool]  # a module, and whether it is its bias that changes


def _grouped(checkpoint: Checkpoint) -> Iterator[tuple[Group, dict[str, str]]]:
    """Module by module, part -> key. A file without any factors is one of new values."""
    of_factors = holds_factors(checkpoint)
    found: dict[Group, dict[str, str]] = defaultdict(dict)
    for key in checkpoint:
        module, part = (part_of(key) if of_factors else _value_of(key)) or ("", "")
        if not part:
            raise BadCheckpoint(
                f"{checkpoint.label} is no delta, and no LoRA that can be applied: its tensor "
                f"{escape(key)} is of no kind known here ({KNOWN})"
            )
        parts = found[module, part in OF_BIASES]
        if part in parts:
            raise BadCheckpoint(
                f"{checkpoint.label} has the same part of {escape(module)} twice, as "
                f"{escape(parts[part])} and {escape(key)}"
            )
        parts[part] = key
    for group, parts in list(found.items()):
        if parts.keys() == {"alpha"} and (group[0], True) in found:
            del found[group]  # of a difference of a bias, which it does not scale
    yield from found.items()


def _value_of(key: str) -> tuple[str, str]:
    """A tensor of a partial checkpoint: the module, and which of its tensors has new values."""
    if key.endswith(BIAS):
        return key.removesuffix(BIAS), "set_b"
    return key.removesuffix(WEIGHT), "set"


def _module(base: Checkpoint, module: str, parts: Parts, places: tuple[Place, ...]) -> Module:
    """A change of a module, every part of it checked."""
    weight = BaseRows(base, places)
    where = f"{parts.file.label}: the change of {escape(module)}"
    kind = _kind(parts, where)
    for part, key in parts.keys.items():
        dtype = parts.file[key].dtype
        if dtype not in (NUMBERS if part == "alpha" else FLOATS):
            raise BadCheckpoint(f"{where} has a part of {dtype}, {escape(key)}")
    if "alpha" in parts and parts.file[parts.keys["alpha"]].numel != 1:
        shape = list(parts.shape("alpha"))
        raise BadCheckpoint(f"{where} has an alpha {shape}: it must be a single number")
    made = kind.shape(parts)
    shapes = ", ".join(f"{escape(k.removeprefix(module))} {list(parts.file[k].shape)}"
                       for part, k in parts.keys.items() if part != "alpha")  # fmt: skip
    if made is None:
        raise BadCheckpoint(f"{where} has parts that do not go together as a {kind.name}: {shapes}")
    if not fits(made, weight.shape):
        raise DoesNotFit(
            f"{where} is {list(made)}, not {list(weight.shape)} as {base.label} has it: {shapes}"
        )
    if kind.parts & MAGNITUDES and by_column(parts, weight.shape) is None:
        raise DoesNotFit(
            f"{where} has a magnitude that is none of {list(weight.shape)}, neither of its rows "
            f"nor of its columns: {shapes}"
        )
    return Module(module, kind, parts, weight)


def _kind(parts: Parts, where: str) -> Kind:
    """The kind that all parts belong to."""
    held = parts.keys.keys() - {"alpha"} - MAGNITUDES
    kinds = [kind for kind in KINDS if held & kind.parts]
    if len(kinds) > 1:
        both = " and ".join(kind.name for kind in kinds)
        raise BadCheckpoint(f"{where} is both {both}: it must be one of them")
    magnitudes = parts.keys.keys() & MAGNITUDES
    if not kinds or len(magnitudes) > 1 or (magnitudes and not kinds[0].decomposes):
        keys = ", ".join(map(escape, parts.keys.values()))
        raise BadCheckpoint(f"{where} is of no kind known here: {keys}")
    return decomposed(kinds[0]) if magnitudes else kinds[0]
