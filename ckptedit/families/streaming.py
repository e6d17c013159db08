"""A module whose layers are read from the checkpoint each time that they run.

Text encoders of several gigabytes then take the memory of one layer: all layers share it, and each
fills it with its own weights before it runs. It serves a whole batch of prompts, and what it
computes is the same to the bit.
"""

import re
from collections.abc import Mapping
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
    places = _places(module, layers)
    names = _names(places)
    own = stored.only(names)
    first = next(iter(places.values()))
    shared = {name: torch.empty_like(w, device="cpu") for name, w in first.named_parameters()}
    for place, layer in places.items():
        layer.load_state_dict(shared, assign=True)
        layer.register_forward_pre_hook(partial(_fill, own, f"{place}."))
    tables = _tables(module)
    for table in tables.values():
        table.register_forward_hook(_widened)
    narrow = partial(_narrow, set(tables))
    kept = stored.only(stored.keys() - names, width=narrow)
    module.load_state_dict(dict(kept), strict=False, assign=True)


def held(module: Module, stored: Stored, layers: str) -> int:
    """Bytes that a module takes when it is streamed, by the header. Arguments as of `stream`."""
    places, tables = _places(module, layers), _tables(module)
    names = _names(places)
    infos = {name: stored.checkpoint[source.name] for name, source in stored.sources.items()}
    total = 4 * sum(weight.numel() for weight in next(iter(places.values())).parameters())
    total += max(infos[name].nbytes for name in names)  # the room that a layer is read into
    for name in stored.keys() - names:
        is_half = infos[name].nbytes == 2 * infos[name].numel
        total += (2 if name in tables and is_half else 4) * stored.shapes[name].numel()
    return total


def _places(module: Module, layers: str) -> dict[str, Module]:
    """The layers by their places."""
    return {
        place: layer
        for place, layer in module.named_modules()
        if re.search(rf"(^|\.){re.escape(layers)}\.[0-9]+$", place)
    }


def _names(places: Mapping[str, Module]) -> set[str]:
    """Of all their parameters."""
    return {f"{place}.{name}" for place in places for name, _ in places[place].named_parameters()}


def _tables(module: Module) -> dict[str, Module]:
    """Tables of embeddings by the names of their weights."""
    parts = module.named_modules()
    return {f"{name}.weight": part for name, part in parts if isinstance(part, Embedding)}


def _narrow(tables: set[str], name: str, stored: Tensor) -> torch.dtype:
    return stored.dtype if name in tables and stored.element_size() == 2 else torch.float32


def _widened(table: Module, given: Any, rows: Tensor) -> Tensor:
    return rows.float()


def _fill(own: Stored, prefix: str, layer: Module, given: Any) -> None:
    for name, weight in layer.named_parameters():
        own.read_into(prefix + name, weight)
