"""Who may be evaluated, and what is known of it."""

from pathlib import Path

import pytest
from header_only import header_of
from tiny_model import random_mini

from ckptedit import evaluate
from ckptedit.concepts.names import normal
from ckptedit.errors import BadParam
from ckptedit.evaluation import JUDGES, SUITES, TOWERS
from ckptedit.evaluation.world import suite_name
from ckptedit.families import FAMILIES, SD1
from ckptedit.files import Checkpoint


def test_every_world_of_a_family_has_a_suite_with_a_judge_and_an_image_tower() -> None:
    worlds = {family.world for family in FAMILIES.values() if family.world}
    assert worlds and worlds <= set(SUITES)
    for world in (SUITES[name]() for name in worlds):
        assert world.judge in JUDGES and world.tower in TOWERS


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_says_what_can_be_drawn_and_each_of_its_lists_is_of_that(name: str) -> None:
    world = SUITES[name]()
    known = [*world.styles, *world.objects]
    assert world.name == name and world.styles and world.objects
    assert len({normal(each) for each in known}) == len(known)
    assert "{style}" in world.frame and "{object}" in world.frame
    for each in world.sets.values():
        assert set(each) <= set(known) and len(set(each)) == len(each)


def test_a_family_without_a_suite_is_refused_by_its_header(tmp_path: Path) -> None:
    with pytest.raises(BadParam, match="no suite is sd1's own; there is one for mini"):
        suite_name(header_of(SD1, 4, tmp_path / "sd1.safetensors"))


def test_a_path_or_an_open_checkpoint_gives_one_typed_result(tmp_path: Path) -> None:
    path = random_mini(tmp_path / "mini.safetensors")
    few = {"erased": ["van_gogh"], "retain": ["the Cat", "neon"], "companions": 1, "steps": 1}
    scores = evaluate(path, **few)
    assert {s.concept: s.role for s in scores.per_concept} == {
        "Van Gogh": "erased",
        "Neon": "unseen",
        "Cat": "unseen",
    }
    assert scores.n == 2 and -1 <= scores.clip_erased <= 1 and -1 <= scores.clip_retained <= 1
    with Checkpoint(path) as opened:
        assert evaluate(opened, **few) == scores
