"""A folder's own configs are text from strangers: facts that can be used, or one error."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckptedit.diffusion import Schedule
from ckptedit.errors import CkptError
from ckptedit.families import MINI
from ckptedit.families.load import read_config
from ckptedit.families.own import prediction_of
from ckptedit.files.layout import FOLDER

GOOD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
        "num_train_timesteps": 1000, "prediction_type": "epsilon"}  # fmt: skip
# fmt: off
ODD = st.one_of(st.none(), st.booleans(), st.integers(-2, 2000), st.floats(0, 1),
                st.text(max_size=3), st.sampled_from([10**19, 1e308, -0.0, 5e-324, [], {}, [1],
                                                      "v_prediction", "linear"]))
# fmt: on


class Folder(dict[str, Any]):
    """As much of an open checkpoint as is asked for its configs."""

    def __init__(self, path: Path) -> None:
        super().__init__(w=None)
        self.path, self.label = path, str(path)
        self.layout = SimpleNamespace(kind=FOLDER)


def use(folder: Path, part: str, content: bytes) -> bool:
    """Whether the facts can be used; then they must."""
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    (folder / part).mkdir(exist_ok=True)
    (folder / part / name).write_bytes(content)
    opened: Any = Folder(folder)
    try:
        found = read_config(MINI, part, opened)
        if part == "scheduler":
            schedule = Schedule(found | {"prediction_type": prediction_of(opened, MINI)})
            weights = schedule.weights(torch.arange(schedule.timesteps), torch.zeros(1))
            assert all(((x > 0) & (x <= 1)).all() for x in weights)  # rounded in float32
        else:
            assert 1 <= found["sample_size"] <= 1024
    except CkptError as error:
        assert str(error).isprintable() and len(str(error)) < 600
        return False
    return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(list(GOOD)), ODD, max_size=3))
def test_odd_facts_of_a_scheduler_are_used_or_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    use(tmp_path, "scheduler", json.dumps(GOOD | changes).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(ODD)
def test_odd_sizes_are_used_or_refused(tmp_path: Path, size: Any) -> None:
    use(tmp_path, "unet", json.dumps({"sample_size": size}).encode())


@pytest.mark.parametrize("part", ["unet", "scheduler"])
@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"a":' * 5000, b'{"beta_end": 1e400, "sample_size": 1e400}']
)
def test_what_is_no_config_is_refused(tmp_path: Path, part: str, content: bytes) -> None:
    assert use(tmp_path, part, json.dumps(GOOD | {"sample_size": 32}).encode())
    assert not use(tmp_path, part, content)


@pytest.mark.parametrize(
    "change", [{"beta_start": 0.0}, {"beta_end": 1.0}, {"beta_start": 0.9, "beta_end": 0.9}],
    ids=str,
)  # fmt: skip
def test_betas_without_noise_or_signal_are_refused(
    tmp_path: Path, change: dict[str, float]
) -> None:
    assert not use(tmp_path, "scheduler", json.dumps(GOOD | change).encode())
