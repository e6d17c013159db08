"""`ckptedit sample`, as a user runs it."""

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusal import refused
from tiny_model import random_mini
from typer.testing import CliRunner, Result

from ckptedit.cli import app

QUICK = ["--steps", "1", "--seeds", "2"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("mini") / "base.safetensors")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("mini") / "other.safetensors", seed=1)


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


def test_the_path_of_the_picture_is_all_of_stdout(base: Path) -> None:
    code = "import sys; from ckptedit.cli import main; main()"
    asked = ["sample", str(base), "a cat in Van Gogh style", *QUICK, "-q"]
    command = [sys.executable, "-c", code, *asked]
    root = Path(__file__).parent.parent
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(root)}
    )
    assert done.stderr == ""
    assert (done.returncode, done.stdout) == (0, "base.sample.png\n")
    assert Image.open("base.sample.png").size[0] > 2 * 160


def test_a_checkpoint_against_itself_shows_every_picture_twice(base: Path) -> None:
    assert run(base, "a cat", "--against", base, *QUICK, "-o", "pair.png").exit_code == 0
    page = np.asarray(Image.open("pair.png"))
    row = page[page.shape[0] // 2]
    width = 192  # 64 pixels, enlarged three times
    starts = [12, 12 + width + 4, 12 + 2 * (width + 4) + 16, 12 + 3 * (width + 4) + 16]
    cells = [row[start : start + width] for start in starts]
    assert np.array_equal(cells[0], cells[1])
    assert np.array_equal(cells[2], cells[3])
    assert not np.array_equal(cells[0], cells[2])


def test_another_checkpoint_draws_something_else(base: Path, other: Path) -> None:
    assert run(base, "a cat", "--against", other, *QUICK, "-o", "pair.png").exit_code == 0
    row = np.asarray(Image.open("pair.png"))
    row = row[row.shape[0] // 2]
    assert not np.array_equal(row[12 : 12 + 192], row[208 : 208 + 192])


def test_the_same_command_makes_the_same_bytes(base: Path) -> None:
    for name in ("one.png", "two.png"):
        assert run(base, "a cat", *QUICK, "-o", name).exit_code == 0
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()


def test_json_is_one_object_with_the_path(base: Path) -> None:
    report = json.loads(run(base, "a cat", "a dog", *QUICK, "-o", "x.png", "--json").stdout)
    assert report["schema_version"] == 1
    assert (report["output"], report["prompts"]) == ("x.png", ["a cat", "a dog"])


def test_the_picture_goes_to_stdout_on_request(base: Path) -> None:
    done = run(base, "a cat", *QUICK, "-o", "-")
    assert Image.open(BytesIO(done.stdout_bytes)).format == "PNG"
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.safetensors", "a cat"], "absent.safetensors"),
        (["BASE", "cat " * 40], "40 tokens; the encoder takes 22"),
        (["BASE", "a cat", "--precision", "float8"], "float8"),
        (["BASE", "a cat", "--device", "quantum"], "quantum"),
        (["BASE", "a cat", "--against", "absent.safetensors"], "absent.safetensors"),
        (["BASE", "a cat", "-o", "absent/x.png"], "absent"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_two(
    base: Path, arguments: list[str], said: str
) -> None:
    refused(run(*[str(base) if word == "BASE" else word for word in arguments]), said)
    assert not list(Path().iterdir())


def test_an_output_that_exists_is_kept_unless_forced(base: Path) -> None:
    Path("x.png").write_bytes(b"mine")
    done = run(base, "a cat", *QUICK, "-o", "x.png")
    assert (done.exit_code, Path("x.png").read_bytes()) == (2, b"mine")
    assert "x.png exists" in done.stderr
    assert run(base, "a cat", *QUICK, "-o", "x.png", "--force").exit_code == 0
    assert Image.open("x.png").format == "PNG"


def test_an_input_is_never_overwritten(base: Path) -> None:
    before = base.read_bytes()
    done = run(base, "a cat", *QUICK, "-o", base, "--force")
    assert done.exit_code == 2
    assert base.read_bytes() == before
