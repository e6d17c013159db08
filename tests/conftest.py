"""What holds for every test. These must be set before torch and transformers are imported."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from small_models import Small

    from ckptedit.families import Family
    from ckptedit.text import TextEncoder

os.environ["OMP_NUM_THREADS"] = "1"  # the tests' tensors are tiny: threads would only wait
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

settings.register_profile("patient", deadline=None)  # a busy machine is no bug
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache; what is dear is computed once for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CKPTEDIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test."""
    monkeypatch.setenv("CKPTEDIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> "Family":
    """That of tests/tiny_model.py, whose imports are slow, so that few tests pay for them."""
    from tiny_model import tiny_family

    return tiny_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="session")
def smalls(tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., Small]":
    """Small models of SD1, SD2 and SDXL, by kind and channels, each made once."""
    from functools import cache

    from small_models import small

    @cache
    def made(kind: str, channels: int = 4) -> "Small":
        return small(kind, tmp_path_factory.mktemp(kind), channels=channels)

    return made


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_model import tiny_checkpoint

    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


@pytest.fixture(scope="session")
def encoder(checkpoint: Path, family: "Family") -> "TextEncoder":
    from ckptedit.files import Checkpoint
    from ckptedit.text import load_text_encoder

    return load_text_encoder(Checkpoint(checkpoint), family)


@pytest.fixture
def tiny(checkpoint: Path, family: "Family", monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny checkpoint, as one of a family that every command knows."""
    from ckptedit.families import FAMILIES

    monkeypatch.setitem(FAMILIES, family.name, family)
    return checkpoint
