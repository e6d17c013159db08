from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_model import tiny_checkpoint, tiny_family

from ckptedit.diffusion import Model, open_model
from ckptedit.families import Family


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return tiny_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


@pytest.fixture
def model(checkpoint: Path, family: Family) -> Iterator[Model]:
    yield open_model(checkpoint, family=family, precision="float32")
