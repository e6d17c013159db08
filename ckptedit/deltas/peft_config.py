"""What a LoRA is scaled by where no tensor says it: the config that PEFT and diffusers save.

PEFT writes `adapter_config.json` beside `adapter_model.safetensors`; diffusers has the same under
`lora_adapter_metadata` in the header, with the component before each name. Without either the
change is up @ down as it stands, which is what diffusers, ComfyUI and A1111 make of it.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from ckptedit.errors import BadCheckpoint
from ckptedit.files import Checkpoint, escape
from ckptedit.files.bounded import parse_json, read_json

METADATA = "lora_adapter_metadata"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
COMPONENTS = ("unet.", "transformer.", "text_encoder.", "text_encoder_2.", "text_encoder_3.")
PLAIN = re.compile(r"\^?[\w.-]+\$?")  # patterns that are names; PEFT takes any regular expression
KINDS = ("LORA", "LOHA", "LOKR")

Scale = Callable[[int | None], float]  # of a rank; None: of factors that have none


def alphas(checkpoint: Checkpoint) -> Callable[[str], Scale | None]:
    """A function from a module to what its change is multiplied by; None: nothing says it.

    Raises BadCheckpoint if a config is malformed, or of a kind that is not known.
    """
    config, where = _config(checkpoint)
    if config is None:
        return lambda module: None
    return partial(_scale_of, config, where)


def _config(checkpoint: Checkpoint) -> tuple[dict[str, Any] | None, str]:
    if METADATA in checkpoint.metadata:
        where = f"{checkpoint.label}: {METADATA}"
        return parse_json(
            checkpoint.metadata[METADATA].encode(errors="surrogatepass"), where
        ), where
    path = Path(checkpoint.path)
    if path.name == WEIGHTS and path.with_name(CONFIG).is_file():
        config, where = read_json(path.with_name(CONFIG)), escape(path.with_name(CONFIG))
        if (kind := config.get("peft_type", "LORA")) not in KINDS:
            raise BadCheckpoint(f"{where}: peft_type is {kind!r:.40}; known are {', '.join(KINDS)}")
        return config, where
    return None, ""


def _scale_of(config: Mapping[str, Any], where: str, module: str) -> Scale | None:
    name = module.removeprefix("base_model.model.")
    start = next((start for start in COMPONENTS if name.startswith(start)), "")
    its = {key.removeprefix(start): value for key, value in config.items() if key.startswith(start)}
    if not its.keys() & {"lora_alpha", "alpha"}:  # it says nothing, or has no components
        its, start = dict(config), ""
    alpha = its.get("lora_alpha", its.get("alpha"))
    patterns = its.get("alpha_pattern") or {}
    if not isinstance(patterns, Mapping):
        raise BadCheckpoint(f"{where}: alpha_pattern is not a table")
    for pattern, value in patterns.items():
        if _names(pattern, name.removeprefix(start), where):
            alpha = value
            break
    if alpha is None:
        return None
    scaled = _number(alpha, f"{where}: an alpha")
    root = its.get("use_rslora") is True

    def scale(rank: int | None) -> float:
        over = float(rank) if rank else _number(its.get("r") or None, f"{where}: r")
        return scaled / (sqrt(over) if root else over)

    return scale


def _number(value: Any, what: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isfinite(value):
        raise BadCheckpoint(f"{what} is {value!r:.40}, and must be a number")
    return float(value)


def _names(pattern: str, module: str, where: str) -> bool:
    """Whether a pattern of PEFT's stands for a module: its name, or how that ends."""
    if not PLAIN.fullmatch(pattern):
        raise BadCheckpoint(f"{where}: alpha_pattern has {escape(pattern)}, which is not a name")
    name = pattern.removesuffix("$")
    if name.startswith("^"):
        return module == name[1:]
    return module == name or module.endswith(f".{name}")
