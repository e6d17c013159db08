"""Runs tests with a compiled pass, and with numpy, which must do the same without it."""

from types import ModuleType
from typing import Any

import pytest


def both_ways(module: ModuleType, switch: str) -> Any:
    """A fixture for every test of a file.

    switch: name of the module's constant that is true where the pass was built
    """

    @pytest.fixture(autouse=True, params=["compiled", "numpy"])
    def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        built = getattr(module, switch)
        if request.param == "numpy":
            monkeypatch.setattr(module, switch, type(built)())
        elif not built:
            pytest.skip("it was not compiled")
        return request.param

    return way
