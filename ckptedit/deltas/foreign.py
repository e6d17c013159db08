"""LoRA and `.diff` files of other tools, as deltas of a base that their keys fit."""

from ckptedit.deltas.delta import Delta
from ckptedit.deltas.entry import Entry, Form, lora_fits
from ckptedit.deltas.keys import BIAS, WEIGHT, generic, naming
from ckptedit.errors import BadCheckpoint, DoesNotFit
from ckptedit.files import Checkpoint, escape

# what a key ends with -> the form that it is a part of, and its parts
PARTS: dict[str, tuple[Form, str]] = {
    ".lora_up.weight": ("lora", ""),
    ".lora_down.weight": ("lora", ""),
    ".alpha": ("lora", ""),
    ".diff": ("diff", ".diff"),
    ".diff_b": ("diff", ".diff_b"),
}


def open_foreign(checkpoint: Checkpoint, base: Checkpoint) -> Delta:
    """A delta from kohya's LoRA keys, or LyCORIS' `.diff`, for the tensors of a base.

    Raises BadCheckpoint if it holds anything else, and DoesNotFit if a module is not the base's.
    """
    names = modules(base)
    found: dict[tuple[str, str], tuple[str, Form]] = {}
    for key in checkpoint:
        suffix = next((s for s in PARTS if key.endswith(s)), None)
        if suffix is None:
            raise BadCheckpoint(
                f"{checkpoint.label} is no delta, and no LoRA that can be applied: its tensor "
                f"{escape(key)} is of no kind known here (lora_up and lora_down, diff, diff_b)"
            )
        form, tail = PARTS[suffix]
        module = key.removesuffix(suffix)
        found[module, BIAS if suffix == ".diff_b" else WEIGHT] = module + tail, form
    strange = [module for module, kind in found if module not in names]
    if strange:
        raise DoesNotFit(
            f"{checkpoint.label} does not fit {base.label}: {len(strange)} of {len(found)} modules "
            f"have no weight there, such as {escape(strange[0])}"
        )
    entries = {}
    for (module, kind), (key, form) in found.items():
        name = names[module].removesuffix(WEIGHT) + kind
        if name not in base:
            raise DoesNotFit(f"{checkpoint.label} does not fit {base.label}: {escape(name)} is new")
        entries[name] = _entry(checkpoint, base, name, key, form)
    return Delta(checkpoint, entries)


def modules(base: Checkpoint) -> dict[str, str]:
    """The key of each module -> its weight in the base."""
    ours = naming(base)
    weights = [name for name in base if name.endswith(WEIGHT)]
    known = {generic(name).removesuffix(WEIGHT): name for name in weights}
    return known | {ours.module(name): name for name in weights}


def _entry(checkpoint: Checkpoint, base: Checkpoint, name: str, key: str, form: Form) -> Entry:
    info = base[name]
    where = f"{checkpoint.label}: the change of {escape(name)}"
    if form == "diff":
        if checkpoint[key].shape != info.shape:
            raise DoesNotFit(f"{where} is {list(checkpoint[key].shape)}, not {list(info.shape)}")
        return Entry(key, form, info.dtype, info.shape)
    up, down = (checkpoint.get(f"{key}.lora_{part}.weight") for part in ("up", "down"))
    if up is None or down is None:
        raise BadCheckpoint(f"{where} lacks one of its two factors")
    if not lora_fits(up.shape, down.shape, info.shape):
        raise DoesNotFit(f"{where} is {list(up.shape)} times {list(down.shape)}, "
                         f"not {list(info.shape)}")  # fmt: skip
    return Entry(key, form, info.dtype, info.shape)
