from pathlib import Path

import pytest
from tiny_model import tiny_checkpoint, tiny_family

from ckptedit.families import Family
from ckptedit.files import Checkpoint
from ckptedit.text import TextEncoder, load_text_encoder


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return tiny_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


@pytest.fixture(scope="session")
def encoder(checkpoint: Path, family: Family) -> TextEncoder:
    return load_text_encoder(Checkpoint(checkpoint), family)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("CKPTEDIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
