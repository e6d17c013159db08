"""A module whose layers are read from the checkpoint each time that they run.

Text encoders of several gigabytes then take the memory of one layer: all layers share it, and each
fills it with its own weights before it runs. It serves a whole batch of prompts, and what it
computes is the same to the bit.
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
    layers: the end of the name of the list that the layers are in, all of the same shape

    Tables of embeddings stay as narrow as they are stored: a row is widened when it is looked up.
    """
    places = {
        place: layer
        for place, layer in module.named_modules()
        if re.search(rf"(^|\.){re.escape(layers)}\.[0-9]+$", place)
    }
    names = {f"{place}.{name}" for place in places for name, _ in places[place].named_parameters()}
    own = stored.only(names)
    first = next(iter(places.values()))
    shared = {name: torch.empty_like(w, device="cpu") for name, w in first.named_parameters()}
    for place, layer in places.items():
        layer.load_state_dict(shared, assign=True)
        layer.register_forward_pre_hook(partial(_fill, own, f"{place}."))
    tables = {n: part for n, part in module.named_modules() if isinstance(part, Embedding)}
    for table in tables.values():
        table.register_forward_hook(_widened)
    narrow = partial(_narrow, {f"{name}.weight" for name in tables})
    kept = stored.only(stored.keys() - names, width=narrow)
    module.load_state_dict(dict(kept), strict=False, assign=True)


def _narrow(tables: set[str], name: str, stored: Tensor) -> torch.dtype:
    return stored.dtype if name in tables and stored.element_size() == 2 else torch.float32


def _widened(table: Module, given: Any, rows: Tensor) -> Tensor:
    return rows.float()


def _fill(own: Stored, prefix: str, layer: Module, given: Any) -> None:
    for name, weight in layer.named_parameters():
        own.read_into(prefix + name, weight)
