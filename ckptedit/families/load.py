"""Filling a model's parameters from a checkpoint: all, in shape and finite, or an error.

Imports torch, so it is not among the names that `ckptedit.families` re-exports.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


class Stored(Mapping[str, Tensor]):
    """The parameters of a component as a checkpoint holds them, each read when it is asked for.

    sources: where each is, by the module's name for it; shapes: what the module expects
    width:   of a parameter, by its name and as it is stored
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        sources: Mapping[str, Source],
        shapes: Mapping[str, torch.Size],
        width: Width,
    ) -> None:
        self.checkpoint, self.sources, self.shapes, self.width = checkpoint, sources, shapes, width

    @cached_property
    def _room(self) -> "NDArray[np.uint8]":
        """One buffer for all: one for each would leave holes as large between what is kept."""
        names = (source.name for source in self.sources.values())
        return np.empty(max(self.checkpoint[name].nbytes for name in names), np.uint8)

    def __getitem__(self, name: str) -> Tensor:
        """Raises BadCheckpoint for another shape, NaN and Inf."""
        stored, part = self._read(name)
        return part.to(self.width(name, stored), copy=True).contiguous()

    def read_into(self, name: str, out: Tensor) -> None:
        """Fills a tensor of its shape, of any dtype, with one of them; raises the same."""
        out.copy_(self._read(name)[1])

    def _read(self, name: str) -> tuple[Tensor, Tensor]:
        """The tensor as it is stored, and the parameter; both are gone when the next is read."""
        source = self.sources[name]
        info = self.checkpoint[source.name]
        room = self._room[: info.nbytes]
        self.checkpoint.read_into(info.name, room)
        stored = from_raw(room, info)
        return stored, read(self.checkpoint, source, stored, self.shapes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    def only(self, names: Collection[str], *, width: Width | None = None) -> "Stored":
        """Some of them, in the same order. width: another one"""
        kept = {name: source for name, source in self.sources.items() if name in names}
        return Stored(self.checkpoint, kept, self.shapes, width or self.width)


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
    module, stored = unfilled(checkpoint, family, component, build=build, width=width)
    module.load_state_dict(dict(stored), assign=True)
    return module


def unfilled(
    checkpoint: Checkpoint,
    family: Family,
    component: Component,
    *,
    build: Callable[[dict[str, Any]], M],
    width: Width = wide,
) -> tuple[M, Stored]:
    """As `load_component`, but the module has no weights yet; they are all there to be read."""
    require_weights(checkpoint)
    config = read_config(family, component)
    with torch.device("meta"):
        module = build(config)
    parameters = module.state_dict()
    found = sources(checkpoint, family, component, parameters=parameters, config=config)
    shapes = {name: parameter.shape for name, parameter in parameters.items()}
    _restore_position_ids(module)
    stored = Stored(checkpoint, {name: found[name] for name in parameters}, shapes, width)
    return module.eval().requires_grad_(False), stored


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
