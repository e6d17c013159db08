"""Several processes with one voice, and what is worth trying again."""

import pytest
import torch
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.cli.company import verdict
from ckptedit.cli.trouble import told
from ckptedit.errors import Busy


@pytest.fixture
def process(monkeypatch):
    """Makes this one of the processes that torchrun started."""

    def become(rank: int, local: int, count: int = 4) -> None:
        facts = {"TORCHELASTIC_RUN_ID": "x", "RANK": rank, "LOCAL_RANK": local, "WORLD_SIZE": count}
        for name, value in facts.items():
            monkeypatch.setenv(name, str(value))

    return become


def test_before_they_have_joined_one_process_of_each_machine_speaks(process):
    said = []
    for rank, local in ((0, 0), (1, 1), (2, 0), (3, 1)):
        process(rank, local)
        said.append(verdict(2))
    assert said == [(True, 2), (False, 2), (True, 2), (False, 2)]


def test_the_first_in_trouble_speaks_and_all_end_with_its_status(process, monkeypatch):
    store = torch.distributed.HashStore()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed.distributed_c10d, "_get_default_store", lambda: store)
    process(1, 1)
    assert verdict(2) == (True, 2)
    process(0, 0)
    assert verdict(75) == (False, 2)


def test_what_nothing_can_be_shared_of_is_refused(process, tmp_path):
    process(0, 0)
    result = CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "base.safetensors")])
    assert result.exit_code == 2 and not list(tmp_path.iterdir())
    assert result.stderr == (
        "error: torchrun started 4 processes, which only a training shares; start `ckptedit demo` "
        "without it\n"
    )


def test_a_closed_form_is_refused_by_name(process, tiny, tmp_path):
    process(0, 0)
    output = tmp_path / "out.safetensors"
    arguments = ["erase", str(tiny), "--concept", "cat", "--method", "balanced", "-o", str(output)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "balanced is a closed form" in result.stderr
    assert not output.exists()


def test_a_gpu_that_others_fill_is_worth_another_try_and_a_small_one_is_not(monkeypatch):
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 5 * 10**9)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 80 * 10**9))
    message, status = told(full, ["--device"])
    assert status == 75 and "other jobs hold 74.0 GB" in message
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 7 * 10**9))
    message, status = told(full, ["--device"])
    assert status == 2 and "other jobs" not in message


def test_a_gpu_in_use_by_one_job_alone_and_what_went_away_are_worth_another_try():
    taken = RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")
    assert told(taken)[1] == 75
    assert told(Busy("gone")) == ("gone", 75)
