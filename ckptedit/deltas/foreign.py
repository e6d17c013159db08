"""LoRA and `.diff` files of other tools, as deltas of a base that their keys fit."""

import re
from dataclasses import replace

from ckptedit.deltas.delta import Delta, is_delta
from ckptedit.deltas.entry import Entry, lora_fits
from ckptedit.deltas.keys import BIAS, WEIGHT, generic, naming
from ckptedit.errors import BadCheckpoint, DoesNotFit, Incompatible
from ckptedit.files import Checkpoint, escape, require_weights
from ckptedit.files.bounded import parse_json
from ckptedit.files.dtypes import FLOATS, NATIVE

PARTS = (".lora_up.weight", ".lora_down.weight", ".alpha", ".diff", ".diff_b")  # ends of keys
NUMBERS = FLOATS | (NATIVE.keys() - {"BOOL", "C64"})  # dtypes that a scale may have
EXPORT = "ckptedit.export"  # in the metadata of a file by `export`

# in names of low-rank factors and differences, of any tool
FACTORS = re.compile(
    r"\.(?:lora_(?:up|down|mid|A|B)|lora\.(?:up|down))(?:\.|$)"
    r"|\.(?:hada_w[0-9]_[ab]|lokr_w[0-9](?:_[ab])?|dora_scale|oft_blocks|diff|diff_b)$"
)


def require_whole(base: Checkpoint) -> None:
    """Raises Incompatible if what should be a checkpoint is a delta, a LoRA, or one like it."""
    if is_delta(base) or any(FACTORS.search(name) for name in base):
        raise Incompatible(
            f"{base.label} is a delta or LoRA, and BASE must be a checkpoint: averaging factors is "
            "not averaging what they do; name the checkpoint first, and this file as an edit"
        )


def open_foreign(checkpoint: Checkpoint, base: Checkpoint) -> Delta:
    """A delta from kohya's LoRA keys, or LyCORIS' `.diff`, for the tensors of a base.

    Raises BadCheckpoint if it holds anything else, and DoesNotFit if a module is not the base's.
    """
    require_weights(checkpoint)
    names = modules(base)
    made_from = exported_from(checkpoint)
    found: dict[tuple[str, str], set[str]] = {}
    for key in checkpoint:
        suffix = next((s for s in PARTS if key.endswith(s)), None)
        if suffix is None:
            raise BadCheckpoint(
                f"{checkpoint.label} is no delta, and no LoRA that can be applied: its tensor "
                f"{escape(key)} is of no kind known here (lora_up and lora_down, diff, diff_b)"
            )
        kind = BIAS if suffix == ".diff_b" else WEIGHT
        found.setdefault((key.removesuffix(suffix), kind), set()).add(suffix)
    strange = [module for module, kind in found if module not in names]
    if strange:
        raise DoesNotFit(
            f"{checkpoint.label} does not fit {base.label}: {len(strange)} of {len(found)} modules "
            f"have no weight there, such as {escape(strange[0])}"
        )
    entries: dict[str, Entry] = {}
    for (module, kind), parts in found.items():
        name = names[module].removesuffix(WEIGHT) + kind
        if name not in base:
            raise DoesNotFit(f"{checkpoint.label} does not fit {base.label}: {escape(name)} is new")
        if name in entries:
            raise BadCheckpoint(f"{checkpoint.label} has two changes of {escape(name)}")
        entry = _entry(checkpoint, base, name, module, parts)
        entries[name] = replace(entry, base=made_from.get(entry.key))
    return Delta(checkpoint, entries)


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


def modules(base: Checkpoint) -> dict[str, str]:
    """The key of each module -> its weight in the base."""
    ours = naming(base)
    weights = [name for name in base if name.endswith(WEIGHT)]
    known = {generic(name).removesuffix(WEIGHT): name for name in weights}
    return known | {ours.module(name): name for name in weights}


def _entry(
    checkpoint: Checkpoint, base: Checkpoint, name: str, module: str, parts: set[str]
) -> Entry:
    """The change of one tensor, every part of it checked. parts: what its keys end with"""
    info = base[name]
    where = f"{checkpoint.label}: the change of {escape(name)}"
    for suffix in parts:
        dtype = checkpoint[module + suffix].dtype
        if dtype not in (NUMBERS if suffix == ".alpha" else FLOATS):
            raise BadCheckpoint(f"{where} has a part of {dtype}, {escape(module + suffix)}")
    if dense := parts & {".diff", ".diff_b"}:
        if parts & {".lora_up.weight", ".lora_down.weight"}:
            raise BadCheckpoint(f"{where} is both a difference and factors: it must be one of them")
        key = module + dense.pop()  # an alpha beside it scales nothing in the user interfaces
        if checkpoint[key].shape != info.shape:
            raise DoesNotFit(f"{where} is {list(checkpoint[key].shape)}, not {list(info.shape)}")
        return Entry(key, "diff", info.dtype, info.shape)
    up, down = (checkpoint.get(f"{module}.lora_{part}.weight") for part in ("up", "down"))
    if up is None or down is None:
        raise BadCheckpoint(f"{where} lacks one of its two factors")
    if not lora_fits(up.shape, down.shape, info.shape):
        raise DoesNotFit(f"{where} is {list(up.shape)} times {list(down.shape)}, "
                         f"not {list(info.shape)}")  # fmt: skip
    if ".alpha" in parts and checkpoint[f"{module}.alpha"].numel != 1:
        shape = list(checkpoint[f"{module}.alpha"].shape)
        raise BadCheckpoint(f"{where} has an alpha {shape}: it must be a single number")
    return Entry(module, "lora", info.dtype, info.shape)
