from collections.abc import Iterator
from pathlib import Path

import pytest

from ckptedit.diffusion import Model, open_model
from ckptedit.families import Family


@pytest.fixture
def model(checkpoint: Path, family: Family) -> Iterator[Model]:
    yield open_model(checkpoint, family=family, precision="float32")
