"""What holds for every test. These must be set before torch and transformers are imported."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

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
