"""Matrices that hold more than one role: the rows that are meant are edited, the others stay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ckptedit.deltas.change import Dense, LowRank
from ckptedit.erasure.kv import KVWeights
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.families import ANIMA, CHROMA, Matrix, kv_weights
from ckptedit.files import Checkpoint

KV = r"blocks\.\d+\.cross_attn\.kv_linear\.weight"
FUSED = replace(
    ANIMA,
    name="fused",
    text_width=3,
    marker="blocks.0.cross_attn.kv_linear.weight",
    marker_width=4,
    matrices=(Matrix(KV, "k", (0, 2)), Matrix(KV, "v", (1, 2))),
)
NAME = "blocks.0.cross_attn.kv_linear.weight"


def checkpoint(path: Path, rows: int = 4) -> Checkpoint:
    save_file({NAME: np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)}, path)
    return Checkpoint(path)


def test_keys_and_values_of_one_matrix_are_two_weights(tmp_path: Path) -> None:
    weights = KVWeights(checkpoint(tmp_path / "f.safetensors"), FUSED)
    assert {key: w.tolist() for key, w in weights.items()} == {
        f"{NAME}[k]": [[0, 1, 2], [3, 4, 5]],
        f"{NAME}[v]": [[6, 7, 8], [9, 10, 11]],
    }
    assert list(KVWeights(weights.checkpoint, FUSED, "v")) == [f"{NAME}[v]"]


def test_an_edit_of_values_leaves_the_rows_of_keys(tmp_path: Path) -> None:
    weights = KVWeights(checkpoint(tmp_path / "f.safetensors"), FUSED)
    edit = LowRank(np.ones((2, 1), np.float32), np.array([[1, 2, 3]], np.float32), 2.0)
    change = weights.whole({f"{NAME}[v]": edit})[NAME]
    assert change.stretch(0, 12).reshape(4, 3).tolist() == [[0, 0, 0]] * 2 + [[2, 4, 6]] * 2


@pytest.mark.parametrize("shared", [True, False])
def test_edits_of_both_are_one_change_of_the_matrix(tmp_path: Path, shared: bool) -> None:
    weights = KVWeights(checkpoint(tmp_path / "f.safetensors"), FUSED)
    down = np.array([[1, 0, 0]], np.float32)
    other = down if shared else np.array([[0, 1, 0]], np.float32)
    up = np.ones((2, 1), np.float32)
    edits = {f"{NAME}[k]": LowRank(up, down), f"{NAME}[v]": LowRank(up, other)}
    change = weights.whole(edits)[NAME]
    assert isinstance(change, LowRank) and change.up.shape[1] == (1 if shared else 2)
    expected = np.vstack([np.repeat(down, 2, 0), np.repeat(other, 2, 0)])
    assert (change.stretch(0, 12).reshape(4, 3) == expected).all()
    dense = weights.whole(edits | {f"{NAME}[v]": Dense(np.repeat(other, 2, 0))})[NAME]
    assert (dense.stretch(0, 12).reshape(4, 3) == expected).all()


def test_rows_that_do_not_divide_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="5 rows, which are not 2 equal parts"):
        kv_weights(checkpoint(tmp_path / "f.safetensors", rows=5), FUSED)


def test_a_family_without_keys_of_its_own_says_so(tmp_path: Path) -> None:
    entry = replace(CHROMA, text_width=3)
    save_file({"txt_in.weight": np.ones((4, 3), np.float32)}, tmp_path / "c.safetensors")
    with pytest.raises(BadParam, match="chroma has no such weights to edit as --params k"):
        KVWeights(Checkpoint(tmp_path / "c.safetensors"), entry, "k")
