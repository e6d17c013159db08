"""The CLIP score: pictures that are drawn, not generated, beside prompts that are true of them."""

import numpy as np
import pytest
import torch

from ckptedit.canvas.draw import draw, scene
from ckptedit.evaluation.clip import ClipScore
from ckptedit.evaluation.judge import CanvasJudge
from ckptedit.evaluation.suite import Cell
from ckptedit.families import MINI
from ckptedit.families.mini import CHECKPOINT
from ckptedit.files import Checkpoint
from ckptedit.text import load_text_encoder

NAMES = [(s, o) for s in ("Van Gogh", "Mondrian", "Neon") for o in ("Cat", "House", "Tree")]


@pytest.fixture(scope="module")
def clip() -> ClipScore:
    return ClipScore(load_text_encoder(Checkpoint(CHECKPOINT), MINI))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack([draw(scene(*names, 9000)) for names in NAMES])


def test_each_picture_fits_its_own_prompt_best(clip: ClipScore, pictures: np.ndarray) -> None:
    prompts = [Cell(*names, 0).prompt for names in NAMES]
    table = clip.words(prompts) @ clip.pictures(pictures).T  # [prompts, pictures]
    assert table.argmax(1).tolist() == table.argmax(0).tolist() == list(range(len(NAMES)))
    own = clip(prompts, pictures)
    assert own == pytest.approx(table.diag().tolist(), abs=1e-5)
    others = table[~torch.eye(len(NAMES), dtype=torch.bool)]
    assert min(own) > 0.3 and float(others.mean()) < 0.2


def test_scores_are_cosines_of_unit_vectors(clip: ClipScore, pictures: np.ndarray) -> None:
    for rows in (clip.words(["a cat", ""]), clip.pictures(pictures)):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))


def test_the_judge_sees_what_was_drawn(pictures: np.ndarray) -> None:
    assert list(zip(*CanvasJudge()(pictures), strict=True)) == NAMES
