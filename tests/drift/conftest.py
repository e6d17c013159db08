from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import Tensor

from ckptedit.drift import Comparison, compare
from ckptedit.files import Checkpoint

Tensors = dict[str, Tensor]


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, Tensors], Path]:
    """Writes tensors to a file of this name and returns its path."""

    def write(name: str, tensors: Tensors) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        return path

    return write


@pytest.fixture
def diff_of(save) -> Callable[..., Comparison]:
    """Compares two dictionaries of tensors by way of files."""

    def run(old: Tensors, new: Tensors, **options) -> Comparison:
        with Checkpoint(save("old", old)) as before, Checkpoint(save("new", new)) as after:
            return compare(before, after, **options)

    return run
