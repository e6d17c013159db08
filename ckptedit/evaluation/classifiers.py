"""A judge made of the user's files: vision transformers, one for styles, one for objects.

Those of UnlearnCanvas are timm's vit_large_patch16_224 with heads of 51 and 20 classes, in the
order of their names. A safetensors file may say its own in the metadata, "classes": a JSON list.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ckptedit.concepts.names import normal
from ckptedit.diffusion import Model
from ckptedit.errors import BadParam
from ckptedit.evaluation.eye import NOTHING, Answers, Given
from ckptedit.evaluation.suite import Cell, World
from ckptedit.evaluation.vit import ViT, as_input, load_vit, shape_of
from ckptedit.files import Checkpoint, escape
from ckptedit.files.cache import digest
from ckptedit.files.pickled import Unpickled, is_pickle

AROUND = ("model_state_dict.", "model.", "module.")  # what trainers put before the names
AT_ONCE = 16  # pictures


class Read(NamedTuple):
    """A classifier's file. prefix: before its names; order: class -> index in the world's list"""

    file: Checkpoint
    prefix: str
    order: np.ndarray


class Classifiers:
    """Each kind of concept by its file; a kind without one is not judged."""

    def __init__(self, world: World, given: Given, towers: object = None) -> None:
        """Raises BadParam for files that are no classifiers of this world."""
        if not given.classifier:
            raise BadParam("the judge vit takes its weights from files: --classifier FILE")
        self._files: dict[str, Read] = {}
        for path in given.classifier:
            kind, read = _read(path, world)
            if kind in self._files:
                raise BadParam(f"{escape(path)} is the second classifier of {kind}s")
            self._files[kind] = read
        self._loaded: dict[str, ViT] = {}
        self.key = digest(
            part
            for kind, read in self._files.items()
            for part in (kind, read.file.data_sha256(), read.order)
        )

    @torch.no_grad()
    def look(self, model: Model, cells: Sequence[Cell], pictures: np.ndarray) -> Answers:
        found: Answers = {}
        for kind, read in self._files.items():
            if kind not in self._loaded:
                self._loaded[kind] = load_vit(read.file, read.prefix).to(model.device)
            vit = self._loaded[kind]
            seen = [vit(p.to(model.device)).argmax(1).cpu() for p in _parts(pictures, vit.size)]
            found[kind] = read.order[torch.cat(seen).numpy()]
        return found


def _parts(pictures: np.ndarray, size: int) -> Sequence[torch.Tensor]:
    return as_input(pictures, size).split(AT_ONCE)


def _read(path: Path, world: World) -> tuple[str, Read]:
    """The kind that a file tells apart, and how."""
    file = Unpickled(path) if is_pickle(path) else Checkpoint(path)
    prefix = next((p for p in AROUND if f"{p}head.weight" in file), "")
    classes = shape_of(file, prefix)["classes"]
    kinds = {"style": world.styles, "object": world.objects}
    said = file.metadata.get("classes")
    if said is None:
        fitting = [kind for kind, names in kinds.items() if len(names) == classes]
        if len(fitting) == 1:
            return fitting[0], Read(file, prefix, np.arange(classes))
    elif found := _said(json.loads(said), classes, kinds):
        return found[0], Read(file, prefix, found[1])
    sizes = " and ".join(f"{len(names)} {kind}s" for kind, names in kinds.items())
    raise BadParam(
        f"{escape(path)} tells {classes} classes apart, and the suite {world.name} has {sizes}"
    )


def _said(
    names: object, classes: int, kinds: Mapping[str, Sequence[str]]
) -> tuple[str, np.ndarray] | None:
    """The kind that most of a file's own class names are of, and where each is in its list."""
    if not isinstance(names, list) or len(names) != classes:
        return None
    forms = [normal(str(name)) for name in names]
    places = {}
    for kind, known in kinds.items():
        at = {normal(name): index for index, name in enumerate(known)}
        places[kind] = np.array([at.get(form, NOTHING) for form in forms])
    kind = max(places, key=lambda each: int((places[each] >= 0).sum()))
    missing = len(kinds[kind]) - len(set(places[kind].tolist()) - {NOTHING})
    return None if missing else (kind, places[kind])
