"""Prompts of one's own as a suite: no concepts, so no UA; what fits and what is detected."""

from pathlib import Path

import pytest
from tiny_model import random_mini

from ckptedit import evaluate
from ckptedit.errors import BadParam
from ckptedit.evaluation.suite import Cell, Suite


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("prompts") / "mini.safetensors")


def test_prompts_are_drawn_as_they_stand_each_from_noise_of_its_own() -> None:
    cells = Suite((), (), (), 2, prompts=("a {cat}", "a dog")).cells()
    assert [(cell.prompt, cell.seed) for cell in cells] == [
        ("a {cat}", 0), ("a {cat}", 1), ("a dog", 0), ("a dog", 1),
    ]  # fmt: skip
    assert len({cell.key for cell in cells}) == 4
    assert Cell("", "", 0, "a dog").key == Cell("", "", 0, "a dog").key


def test_two_checkpoints_are_compared_on_prompts_of_the_users_own(path: Path) -> None:
    scores = evaluate(path, prompts=["a cat", "a key", "a cat"], steps=1, against=path)
    assert scores.n == 2 and scores.per_concept == []
    assert scores.ua is scores.ra_i is scores.ra_c is scores.clip_erased is None
    assert scores.differences["clip_retained"].value == 0
    assert scores.fidelity.against.n == (2, 2)


@pytest.mark.parametrize("more", [{"erased": "Cat"}, {"retain": "Cat"}, {"suite": "canvas"}])
def test_prompts_name_no_concepts_that_could_be_judged(path: Path, more: dict) -> None:
    with pytest.raises(BadParam, match="a suite of their own"):
        evaluate(path, prompts="a cat", **more)
    with pytest.raises(BadParam, match="prompts name none"):
        evaluate(path, prompts="a cat", judge="canvas")
