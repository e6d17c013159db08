"""`erase --basis`: whatever the method, what is in the basis does not move."""

import json
from pathlib import Path

import pytest
import torch
from refusal import refused
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner, Result

from ckptedit import erase
from ckptedit.cli import app
from ckptedit.concepts.wish import Wish
from ckptedit.erasure.checks import look_over
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.closed_forms.uce import UCE
from ckptedit.erasure.job import Erasure
from ckptedit.erasure.options import Options
from ckptedit.errors import Incompatible
from ckptedit.files import Checkpoint

DIM, RANK = 32, 5  # of the tiny family, and of the basis
SMALL = {"neighbors": 1, "steps": 2, "batch": 2, "pictures": 2, "moments": 2, "device": "cpu"}

OF_KEYS_AND_VALUES = [
    name
    for name in CLOSED_FORMS
    if set(CLOSED_FORMS[name].roles[0]) <= set("kv")  # type: ignore[attr-defined]
]


def save_basis(target: Path, rows: Tensor, family: str = "tiny", **facts: object) -> Path:
    said = {"ckptedit.subspace": json.dumps({"family": family, **facts})}
    save_file({"basis": rows.contiguous()}, target, metadata=said)
    return target


@pytest.fixture
def basis(tmp_path: Path) -> Path:
    rows = torch.linalg.qr(torch.randn(DIM, RANK, generator=torch.Generator().manual_seed(0))).Q
    return save_basis(tmp_path / "keep.safetensors", rows.mT, concepts=["monet"])


def changes(made: Erasure) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(edit.stretch(0, edit.shape[0] * DIM).reshape(-1, DIM))
        for name, edit in made.edits.items()
    }


def moves_nothing_inside(made: Erasure, basis: Path) -> None:
    rows = load_file(basis)["basis"].double()
    for name, change in changes(made).items():
        assert change.norm() > 0, name
        assert (change @ rows.mT).norm() < 1e-6 * change.norm(), name


@pytest.mark.parametrize("method", OF_KEYS_AND_VALUES)
def test_a_closed_form_keeps_all_but_what_would_move_the_basis(
    tiny: Path, basis: Path, method: str
) -> None:
    rows = load_file(basis)["basis"].double()
    options = {"method": method, "neighbors": 1, "device": "cpu"}
    free, kept = erase(tiny, "van gogh", **options), erase(tiny, "van gogh", basis=basis, **options)
    moves_nothing_inside(kept, basis)
    found = changes(kept)
    for name, change in changes(free).items():
        expected = change @ (torch.eye(DIM).double() - rows.mT @ rows)
        torch.testing.assert_close(found[name], expected, atol=1e-6, rtol=1e-5)
    held = kept.effect.protection
    assert held and held.leak < 1e-6 and 0 < held.coverage < 1


@pytest.mark.parametrize(
    "options", [{}, {"guards": ()}, {"init": "uce"}, {"guards": "gradproj:hard"}], ids=str
)
def test_a_training_never_moves_the_basis_whatever_guards_there_are(
    tiny: Path, basis: Path, options: dict[str, object]
) -> None:
    moves_nothing_inside(erase(tiny, "van gogh", basis=basis, **SMALL, **options), basis)


def test_the_soft_directions_are_chosen_in_what_the_basis_leaves(tiny: Path, basis: Path) -> None:
    """As many as were asked for, none of them lost to the basis."""
    params = {"gradproj:soft": {"rank": 3}}
    made = erase(tiny, "van gogh", basis=basis, guards="gradproj:soft", params=params, **SMALL)
    assert all(torch.linalg.matrix_rank(each, rtol=1e-4) == 3 for each in changes(made).values())


def run(*arguments: object) -> Result:
    words = map(str, arguments)
    return CliRunner().invoke(app, ["erase", *words, "--concept", "van gogh", "--neighbors", "1"])


def test_report_and_ledger_say_what_was_protected(tiny: Path, basis: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    done = run(tiny, "-m", "uce", "--basis", basis, "-o", out, "--json", "-q")
    assert done.exit_code == 0, done.stderr
    said = {"concepts": ["monet"], "rank": RANK, "sha256": Checkpoint(basis).data_sha256()}
    assert json.loads(done.stdout)["basis"] == said
    assert Checkpoint(out).ledger[-1]["options"]["basis"] == said
    assert Options().facts()["basis"] is None


@pytest.mark.parametrize(
    ("rows", "of", "said"),
    [
        (torch.eye(8)[:2], "tiny", "width 8 of tiny; tiny reads embeddings of width 32"),
        (torch.eye(DIM)[:2], "sd1", "width 32 of sd1"),
        (2 * torch.eye(DIM)[:2], "tiny", "not orthonormal"),
        (torch.eye(DIM), "tiny", "no edit is left"),
    ],
)
def test_a_basis_that_cannot_be_protected_is_refused_in_a_line(
    tiny: Path, tmp_path: Path, rows: Tensor, of: str, said: str
) -> None:
    bad, out = save_basis(tmp_path / "bad", rows, of), tmp_path / "out.safetensors"
    refused(run(tiny, "-m", "uce", "--basis", bad, "-o", out, "-q"), said)
    assert not out.exists()


def test_a_checkpoint_is_no_basis_and_a_basis_no_output(
    tiny: Path, basis: Path, tmp_path: Path
) -> None:
    refused(run(tiny, "-m", "uce", "--basis", tiny, "-o", tmp_path / "o"), "holds no subspace")
    before = basis.read_bytes()
    done = run(tiny, "-m", "uce", "--basis", basis, "-o", basis, "--force", "-q")
    refused(done, "is an input")
    assert basis.read_bytes() == before


class Encoder(UCE):
    """Edits what no basis of embeddings is about."""

    roles = ("te",)


def test_a_method_of_the_text_encoder_takes_no_basis(
    tiny: Path, basis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLOSED_FORMS.targets, "encoder", f"{__name__}:Encoder")
    done = run(tiny, "-m", "encoder", "--basis", basis, "-o", tmp_path / "o.safetensors", "-q")
    refused(done, "encoder edits 'te'; leave out --basis")


def test_a_basis_of_another_model_is_seen_before_anything_is_loaded(
    tiny: Path, tmp_path: Path
) -> None:
    narrow = Checkpoint(save_basis(tmp_path / "narrow", torch.eye(8)[:2]))
    with pytest.raises(Incompatible, match="width 8"):
        look_over(Checkpoint(tiny), Wish(["van gogh"]), method="uce", basis=narrow)
