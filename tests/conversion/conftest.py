"""Each narrow model as a folder of diffusers' own, as our single file, and our folder of that."""

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


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    """Those that were built so far."""
    return {}


@pytest.fixture(params=["sd1", "sd2", "sdxl"])
def model(
    request: pytest.FixtureRequest,
    models: dict[str, Model],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Model:
    """One of them, whose family every command knows as long as the test runs."""
    from conversion.models import family_of, write_configs, write_folder

    kind = request.param
    if kind in models:
        monkeypatch.setitem(FAMILIES, models[kind].family.name, models[kind].family)
        return models[kind]
    place = tmp_path_factory.mktemp(kind)
    write_configs(kind, place / "configs")
    theirs = write_folder(kind, place / "theirs")
    family = family_of(kind, place / "configs")
    monkeypatch.setitem(FAMILIES, family.name, family)
    single, folder = place / "one.safetensors", place / "ours"
    ckptedit.export(theirs, single)
    ckptedit.export(single, folder, tokenizer=theirs, prediction="epsilon")
    models[kind] = Model(kind, family, theirs, single, folder)
    return models[kind]
