"""`ckptedit project`, as a user runs it."""

import json
from pathlib import Path

import pytest
import torch
from refusal import refused
from safetensors import safe_open
from tiny_model import random_mini
from typer.testing import CliRunner, Result

from ckptedit.cli import app


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("mini") / "base.safetensors")


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["project", *map(str, arguments)])


def report(*arguments: object) -> dict[str, object]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_json_has_the_stable_names(base: Path) -> None:
    found = report(base, "--concept", "Van Gogh")
    assert found["schema_version"] == 1
    assert found["dim"] == 256
    assert 1 <= int(found["rank"]) < 256  # type: ignore[call-overload]
    assert sum(found["energies"]) == pytest.approx(1)  # type: ignore[call-overload]
    for neighbor in found["neighbors"]:  # type: ignore[attr-defined]
        assert set(neighbor) == {"concept", "cosine"}


def test_the_table_names_concept_rank_and_neighbours(base: Path) -> None:
    done = run(base, "--concept", "Van Gogh", "--neighbors", 3)
    assert done.exit_code == 0
    found = report(base, "--concept", "Van Gogh", "--neighbors", 3)
    assert f"Van Gogh: rank {found['rank']} of 256" in done.stdout
    for neighbor in found["neighbors"]:  # type: ignore[attr-defined]
        assert neighbor["concept"] in done.stdout


def test_the_basis_is_written_with_what_it_is_of(base: Path) -> None:
    done = run(base, "--concept", "Van Gogh", "--concept", "Monet", "-o", "s.safetensors")
    assert (done.exit_code, done.stdout) == (0, "s.safetensors\n")
    with safe_open("s.safetensors", "pt") as file:
        basis = file.get_tensor("basis")
        facts = json.loads(file.metadata()["ckptedit.subspace"])
    torch.testing.assert_close(basis @ basis.mT, torch.eye(len(basis)), atol=1e-5, rtol=1e-5)
    assert facts["concepts"] == ["Van Gogh", "Monet"]
    assert facts["family"] == "mini"
    before = Path("s.safetensors").read_bytes()
    assert run(base, "--concept", "Monet", "-o", "s.safetensors").exit_code == 2
    assert Path("s.safetensors").read_bytes() == before


def test_rank_and_energy_cut_and_all_tokens_are_more(base: Path) -> None:
    arguments = [base, "--concept", "Van Gogh"]
    assert report(*arguments, "--rank", 2)["rank"] == 2
    full = report(*arguments)
    some = report(*arguments, "--energy", 0.9)
    assert sum(some["energies"]) >= 0.9  # type: ignore[call-overload]
    assert some["rank"] < full["rank"] < report(*arguments, "--tokens", "all")["rank"]  # type: ignore[operator]


def test_the_angles_to_itself_are_zero_and_to_another_are_not(base: Path) -> None:
    assert run(base, "--concept", "Van Gogh", "-o", "s.safetensors").exit_code == 0
    same = report(base, "--concept", "Van Gogh", "--against", "s.safetensors")
    assert max(same["angles_degrees"]) < 0.01  # type: ignore[call-overload]
    other = report(base, "--concept", "a castle", "--against", "s.safetensors")
    assert max(other["angles_degrees"]) > 5  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.safetensors", "--concept", "x"], "absent.safetensors"),
        (["BASE", "--concept", " "], "is empty"),
        (["BASE", "--concept", "cat " * 40], "40 tokens; the encoder takes 22"),
        (["BASE", "--concept", "cat", "--tokens", "some"], "tokens must be one of concept, all"),
        (["BASE", "--concept", "cat", "--rank", "0"], "rank must be 1 or more"),
        (["BASE", "--concept", "cat", "--energy", "2"], "energy must be in"),
        (["BASE", "--concept", "cat", "--against", "BASE"], "holds no subspace"),
        (["BASE", "--concept", "cat", "--tokenizer", "absent"], "there is no tokenizer"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_two(
    base: Path, arguments: list[str], said: str
) -> None:
    refused(run(*[str(base) if word == "BASE" else word for word in arguments]), said)
    assert not list(Path().iterdir())


def test_an_input_is_never_overwritten(base: Path) -> None:
    before = base.read_bytes()
    done = run(base, "--concept", "Monet", "-o", base, "--force")
    assert done.exit_code == 2
    assert "is an input" in done.stderr
    assert base.read_bytes() == before


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    Path("model.ckpt").write_bytes(b"\x80\x02}q\x00.")
    done = run("model.ckpt", "--concept", "cat")
    assert done.exit_code == 2
    assert "model.ckpt" in done.stderr
