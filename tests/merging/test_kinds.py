"""Models of noise and models of velocity are not merged by accident."""

from pathlib import Path

import numpy as np
import pytest
from header_only import header_of
from refusal import refused
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.families import SD1, SD2
from ckptedit.families.family import Family


def made(path: Path, family: Family, *markers: str) -> str:
    with header_of(family, 4, path) as header:
        label = str(header.path)
    tensors = load_file(path) | {marker: np.zeros(0, np.float16) for marker in markers}
    save_file(tensors, path)
    return label


def merge(base: str, edit: str, output: Path, *more: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["merge", base, edit, "-o", str(output), *more])


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (["v_pred"], [], "base.safetensors predicts a velocity and"),
        ([], ["v_pred"], "base.safetensors predicts the noise and"),
        (["v_pred", "ztsnr"], ["v_pred"], "base.safetensors was trained with a schedule that ends"),
        (["v_pred"], ["v_pred", "ztsnr"], "edit.safetensors was trained with a schedule that ends"),
    ],
)
def test_models_of_two_kinds_are_merged_by_force_only(
    tmp_path: Path, ours: list[str], theirs: list[str], said: str
) -> None:
    base = made(tmp_path / "base.safetensors", SD1, *ours)
    edit = made(tmp_path / "edit.safetensors", SD1, *theirs)
    output = tmp_path / "merged.safetensors"
    refused(merge(base, edit, output, "--extra", "drop"), said)
    assert not output.exists()
    assert merge(base, edit, output, "--extra", "drop", "--force").exit_code == 0


@pytest.mark.parametrize("markers", [[], ["v_pred"], ["v_pred", "ztsnr"]])
def test_two_of_one_kind_are_merged(tmp_path: Path, markers: list[str]) -> None:
    base, edit = (
        made(tmp_path / name, SD1, *markers) for name in ("b.safetensors", "e.safetensors")
    )
    assert merge(base, edit, tmp_path / "merged.safetensors").exit_code == 0


def test_what_files_of_sd2_do_not_say_is_let_through(tmp_path: Path) -> None:
    base = made(tmp_path / "b.safetensors", SD2)
    edit = made(tmp_path / "e.safetensors", SD2, "v_pred")
    done = merge(base, edit, tmp_path / "merged.safetensors", "--extra", "drop")
    assert done.exit_code == 0, done.output


def test_weights_of_an_edit_alone_do_not_say_what_a_model_predicts(tmp_path: Path) -> None:
    """What ESD saves is of a UNet by its names, and would pass for one that predicts the noise."""
    base = made(tmp_path / "b.safetensors", SD1, "v_pred")
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    save_file({name: np.zeros(SD1.marker_shape, np.float16)}, tmp_path / "esd.safetensors")
    done = merge(base, str(tmp_path / "esd.safetensors"), tmp_path / "merged.safetensors")
    assert done.exit_code == 0, done.output
