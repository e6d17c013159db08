"""Each narrow model as a folder of diffusers' own, as our single file, and our folder of that."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import ckptedit
from ckptedit.families import FAMILIES, Family


class Model(NamedTuple):
    kind: str
    family: Family
    theirs: Path  # by save_pretrained
    single: Path
    folder: Path


@pytest.fixture(scope="session", params=["sd1", "sd2", "sdxl"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Model]:
    from conversion.models import family_of, write_configs, write_folder

    kind, place = request.param, tmp_path_factory.mktemp(request.param)
    write_configs(kind, place / "configs")
    theirs = write_folder(kind, place / "theirs")
    family = family_of(kind, place / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, family.name, family)
        single, folder = place / "one.safetensors", place / "ours"
        ckptedit.export(theirs, single)
        ckptedit.export(single, folder, tokenizer=theirs, prediction="epsilon")
        yield Model(kind, family, theirs, single, folder)
