"""The compiled passes are there where they can be."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(source.relative_to(ROOT) for source in ROOT.glob("ckptedit/**/*.c"))


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_it_is_built_where_there_is_a_compiler(source):
    import_module(".".join(source.with_suffix("").parts))
