"""A module whose layers are read from the checkpoint each time that they run, and kept no longer.

Text encoders of several gigabytes then take the memory of their largest layer. A layer serves a
whole batch of prompts before it goes, and what it computes is the same to the bit.
"""

import re
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Embedding, Module

from ckptedit.families.load import Stored


def stream(module: Module, stored: Stored, layers: str) -> None:
    """Fills a module on the CPU, in float32, all but its layers; these whenever they run.

    stored: all of its weights (`unfilled`)
    layers: the end of the name of the list that the layers are in

    Tables of embeddings stay as narrow as they are stored: a row is widened when it is looked up.
    """
    held, tables = set(stored), set()
    for place, layer in module.named_modules():
        if isinstance(layer, Embedding):
            layer.register_forward_hook(_widened)
            tables.add(f"{place}.weight")
        if re.search(rf"(^|\.){re.escape(layers)}\.[0-9]+$", place):
            own = stored.only({name for name in stored if name.startswith(f"{place}.")})
            layer.register_forward_pre_hook(partial(_fill, own, len(place) + 1))
            layer.register_forward_hook(_empty, always_call=True)
            held -= set(own)
    kept = dict(stored.only(held, width=partial(_narrow, tables)))
    module.load_state_dict(kept, strict=False, assign=True)


def _narrow(tables: set[str], name: str, stored: Tensor) -> torch.dtype:
    return stored.dtype if name in tables and stored.element_size() == 2 else torch.float32


def _widened(table: Module, given: Any, rows: Tensor) -> Tensor:
    return rows.float()


def _fill(own: Stored, prefix: int, layer: Module, given: Any) -> None:
    layer.load_state_dict({name[prefix:]: weight for name, weight in own.items()}, assign=True)


def _empty(layer: Module, given: Any, output: Any) -> None:
    layer.to("meta")
