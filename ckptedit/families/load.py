"""Filling a model's parameters from a checkpoint: all, in shape and finite, or an error.

Imports torch, so it is not among the names that `ckptedit.families` re-exports.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from ckptedit.errors import BadCheckpoint
from ckptedit.families.family import Family
from ckptedit.families.own import own_config
from ckptedit.families.stored import Component, Source, sources
from ckptedit.files import Checkpoint, escape, require_weights
from ckptedit.files.bounded import read_json
from ckptedit.files.torch_dtypes import from_raw

M = TypeVar("M", bound=Module)
Width = Callable[[str, Tensor], torch.dtype]


def wide(name: str, stored: Tensor) -> torch.dtype:
    """float32, whatever is stored."""
    return torch.float32


def read_config(
    family: Family, component: Component | str, checkpoint: Checkpoint | None = None
) -> dict[str, Any]:
    """A component's config: the family's, with what the checkpoint's own says that counts."""
    name = "scheduler_config.json" if component == "scheduler" else "config.json"
    path = (family.folder or Path()) / component / name
    if family.folder is None or not path.exists():
        raise BadCheckpoint(
            f"{family.name} models cannot be run: no {component} config ships with the tool "
            f"(commands that only read or edit weights work)"
        )
    return read_json(path) | (own_config(checkpoint, component) if checkpoint else {})


def load_component(
    checkpoint: Checkpoint,
    family: Family,
    component: Component,
    *,
    build: Callable[[dict[str, Any]], M],
    width: Width = wide,
) -> M:
    """Builds a component from the family's config and fills it from the checkpoint.

    build:   makes the module from its config; it is called where parameters cost nothing
    width:   of a parameter, by its name and as it is stored; default: float32
    returns: the module on the CPU, in evaluation mode, without gradients

    Each parameter is read, turned to its width and kept: no second copy of the module is made.
    """
    require_weights(checkpoint)
    config = read_config(family, component)
    with torch.device("meta"):
        module = build(config)
    parameters = module.state_dict()
    found = sources(checkpoint, family, component, parameters=parameters, config=config)
    # one buffer for all that is read: one for each would leave holes as large between what is kept
    room = np.empty(max(checkpoint[source.name].nbytes for source in found.values()), np.uint8)
    filled = {}
    for name, parameter in parameters.items():
        info = checkpoint[found[name].name]
        checkpoint.read_into(info.name, room[: info.nbytes])
        stored = from_raw(room[: info.nbytes], info)
        part = read(checkpoint, found[name], stored, parameter.shape)
        filled[name] = part.to(width(name, stored), copy=True).contiguous()
    _restore_position_ids(module)
    module.load_state_dict(filled, assign=True)
    return module.eval().requires_grad_(False)


def read(checkpoint: Checkpoint, source: Source, stored: Tensor, shape: torch.Size) -> Tensor:
    """One parameter, [*shape], of its stored tensor; refuses another shape, NaN and Inf."""
    tensor = stored if source.part is None else stored.chunk(3)[source.part]
    tensor = tensor.T if source.turned else tensor
    if tensor.shape == (*shape, 1, 1):  # the VAE's attention is a 1x1 convolution in single files
        tensor = tensor[:, :, 0, 0]
    if tensor.shape != shape:
        raise BadCheckpoint(
            f"{checkpoint.label}: {escape(source.name)} has shape {list(stored.shape)}, "
            f"expected {list(shape)}"
        )
    tensor = tensor if tensor.element_size() > 1 else tensor.float()
    if not torch.isfinite(tensor).all():
        raise BadCheckpoint(f"{checkpoint.label}: {escape(source.name)} holds NaN or Inf")
    return tensor


def _restore_position_ids(module: Module) -> None:
    """Fills the buffers that no file stores: CLIP's position_ids, 0, 1, 2 ... in [1, positions]."""
    stored = module.state_dict()
    for name, buffer in module.named_buffers():
        if name in stored:
            continue
        if not name.endswith("position_ids"):
            raise BadCheckpoint(f"do not know how to fill the buffer {name}")
        place, _, leaf = name.rpartition(".")
        ids = torch.arange(buffer.shape[-1]).expand_as(buffer).clone()
        setattr(module.get_submodule(place), leaf, ids)
