"""Embeddings that the user has made, by whatever means: `--embeddings FILE`.

A safetensors file in which each tensor is one prompt, [n, d] (or [1, n, d]) of floats, named by the
prompt itself. Padding is left out.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ckptedit.errors import BadParam, CkptError
from ckptedit.files import Checkpoint, escape
from ckptedit.files.cache import uncached
from ckptedit.files.dtypes import FLOATS
from ckptedit.text.table import PromptTable


def table_of(file: Checkpoint, width: int) -> PromptTable:
    """An encoder that knows the prompts of a file, and no other.

    width: d. Raises BadParam if a tensor is none of [n, d]; of prompts, when one is missing.
    """
    lengths = {}
    for name, info in file.items():
        shape = info.shape[1:] if len(info.shape) == 3 and info.shape[0] == 1 else info.shape
        if len(shape) != 2 or shape[1] != width or not shape[0] or info.dtype not in FLOATS:
            raise BadParam(
                f"{file.label}: {escape(name)} is {info.dtype} {list(info.shape)}; this family "
                f"reads embeddings of floats [n, {width}], each named by its prompt"
            )
        lengths[name] = shape[0]
    if not lengths:
        raise BadParam(f"{file.label} holds no embeddings")

    def read(prompts: Sequence[str]) -> list[Tensor]:
        if missing := [prompt for prompt in prompts if prompt not in file]:
            raise BadParam(
                f"{file.label} lacks {len(missing)} prompts, such as {escape(missing[0])!r}; "
                f"--list-prompts prints all that are needed"
            )
        return [file.tensor(prompt).reshape(-1, width) for prompt in prompts]

    return PromptTable(
        read,
        width=width,
        room=max(lengths.values()),
        stock=lambda frames: list(lengths),
        holds=lambda prompt: prompt in lengths,
        key=file.data_sha256(),
    )


class Wanted:
    """What prompts would be read: those that a file has not are written down, and get noise."""

    def __init__(self, width: int, known: PromptTable | None, stock: Sequence[str]) -> None:
        """known: the file's; stock: names that stand for all that can be said, without one"""
        self.known, self.prompts = known, dict[str, None]()
        self.draw = torch.Generator().manual_seed(0)
        room = max(known.max_length, 2) if known else 2
        self.table = PromptTable(
            self._read,
            width=width,
            room=room,
            stock=lambda frames: [frame.format(name) for frame in frames for name in stock],
            key="wanted",
        )

    def _read(self, prompts: Sequence[str]) -> list[Tensor]:
        held = self.known.holds if self.known else lambda prompt: False
        found = []
        for prompt in prompts:
            if self.known and held(prompt):
                found.append(self.known.read([prompt])[0])
                continue
            self.prompts[prompt] = None
            found.append(torch.randn(2, self.table.width, generator=self.draw))
        return found


def wanted_prompts(
    width: int,
    names: Sequence[str],
    given: Checkpoint | str | Path | None,
    work: Callable[[PromptTable], object],
) -> list[str]:
    """The prompts that some work would look for in a file of embeddings, and not find.

    names: what stands for all that can be said, without a file; given: the file, so far
    work:  is done with an encoder that puts noise in place of what is missing
    Raises what the work raises before anything is read.
    """
    opened = Checkpoint(given) if isinstance(given, str | Path) else given
    wanted = Wanted(width, None if opened is None else table_of(opened, width), names)
    try:
        with uncached():  # what comes from noise is not to be found again
            work(wanted.table)
    except CkptError:  # of the noise, maybe
        if not wanted.prompts:
            raise
    return list(wanted.prompts)
