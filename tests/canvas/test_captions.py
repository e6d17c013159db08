"""What captions say, and of which pictures it is true."""

import numpy as np

from ckptedit.canvas.captions import Caption, caption, truth
from ckptedit.canvas.draw import OBJECTS, PHOTO, STYLES, Scene, scene
from ckptedit.canvas.styles import FAMILIES

FAMILY = {style: family for family, four in FAMILIES.items() for style in four} | {PHOTO: "photo"}


def test_every_caption_is_true_of_its_own_picture():
    rng = np.random.default_rng(0)
    names = [*STYLES, PHOTO]
    scenes = [scene(names[i % len(names)], OBJECTS[i % len(OBJECTS)], i) for i in range(500)]
    families = [FAMILY[each.style] for each in scenes]
    said = [caption(each, family, rng) for each, family in zip(scenes, families, strict=True)]
    assert truth(said, scenes, families).diagonal().all()


def test_truth_worked_by_hand():
    scenes = [
        Scene("Monet", "Cat", size="small"),
        Scene("Hokusai", "Cat"),
        Scene(PHOTO, "Cat", size="small"),
    ]
    families = [FAMILY[each.style] for each in scenes]
    said = [
        Caption("a cat in Monet style", "Monet", None, "Cat", "", ""),
        Caption("a painting of a cat", None, "painting", "Cat", "", ""),
        Caption("an oil painting of a cat", None, "brush", "Cat", "", ""),
        Caption("a small something", PHOTO, None, None, "small", ""),
    ]
    assert truth(said, scenes, families).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, False, False],
        [False, False, True],
    ]
