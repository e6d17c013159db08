"""The picture generator: a picture is a function of its scene, and words mean what they say."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest

from ckptedit.canvas.draw import OBJECTS, PHOTO, STYLES, Scene, draw, draw_many, scene
from ckptedit.canvas.objects import solid
from ckptedit.errors import UnknownName

ALL = [(style, thing) for style in (*STYLES, PHOTO) for thing in OBJECTS]


def silhouette(name: str, size: int = 96) -> np.ndarray:
    """The object's filled outline in its own frame, bool [size, size]."""
    shape = solid(name)
    axis = np.linspace(-1.05, 1.05, size) * shape.half
    step = 3.5 / (shape.outline.shape[0] - 1)
    columns = np.rint((axis + shape.middle[0] + 1.75) / step).astype(int)
    rows = np.rint((axis + shape.middle[1] + 1.75) / step).astype(int)
    return shape.outline[np.ix_(rows, columns)] < 0


def test_there_are_24_styles_in_six_families_of_four_a_photo_and_20_objects():
    assert set(Counter(STYLES.values()).values()) == {4}
    assert len(STYLES) == 24
    assert PHOTO not in STYLES
    assert len(OBJECTS) == len(set(OBJECTS)) == 20


def test_every_combination_gives_a_picture_with_some_contrast():
    for style, thing in ALL:
        picture = draw(scene(style, thing, 3))
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        assert np.ptp(picture, axis=(0, 1)).max() > 90, (style, thing)


def test_another_process_draws_the_same_bytes():
    code = (
        "from hashlib import sha256; from ckptedit.canvas.draw import *\n"
        "scenes = [scene(s, o, i) for i, s in enumerate((*STYLES, PHOTO)) for o in OBJECTS[::5]]\n"
        "print(sha256(draw_many(scenes).tobytes()).hexdigest())"
    )
    scenes = [scene(s, o, i) for i, s in enumerate((*STYLES, PHOTO)) for o in OBJECTS[::5]]
    here = sha256(draw_many(scenes).tobytes()).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert there.strip() == here


def test_workers_do_not_change_pictures():
    scenes = [scene("Monet", thing, 1) for thing in OBJECTS[:4]]
    assert np.array_equal(draw_many(scenes, workers=2), draw_many(scenes))


def test_no_scenes_give_no_pictures():
    assert draw_many([]).shape == (0, 64, 64, 3)


def test_seeds_give_different_pictures():
    for style in (*STYLES, PHOTO):
        a, b = (draw(Scene(style, "Heart", seed=seed)) for seed in (1, 2))
        assert not np.array_equal(a, b), style


def test_about_half_of_the_scenes_say_nothing_and_every_word_occurs():
    scenes = [scene("Neon", "Fish", seed) for seed in range(1000)]
    silent = sum(not s.size and not s.place for s in scenes)
    assert 430 < silent < 570
    assert {s.size for s in scenes} == {"small", "", "large"}
    assert {s.place for s in scenes} == {"left", "right", "top", "bottom", ""}


def bright(picture: np.ndarray) -> np.ndarray:
    """Where Rothko's orange object is, bool [64, 64]: the only thing with much green."""
    return picture[..., 1] > 100


@pytest.mark.parametrize("thing", OBJECTS)
def test_size_words_order_the_area(thing):
    for seed in range(5):
        areas = [
            bright(draw(Scene("Rothko", thing, word, "", seed))).sum()
            for word in ("small", "", "large")
        ]
        assert areas[0] < 0.95 * areas[1] < 0.95 * areas[2]


@pytest.mark.parametrize("thing", OBJECTS)
def test_place_words_move_the_object(thing):
    plain = Scene("Rothko", thing, "", "", 4)
    middle = {}
    for place in ("left", "right", "top", "bottom"):
        rows, columns = np.nonzero(bright(draw(replace(plain, place=place))))
        middle[place] = (columns.mean(), rows.mean())
    assert middle["right"][0] - middle["left"][0] > 12
    assert middle["bottom"][1] - middle["top"][1] > 12


def test_the_same_scene_at_twice_the_size_is_the_same_picture():
    for style in (*STYLES, PHOTO):
        if style in ("Pixel Art", "Glitch"):  # their edges are steps by design
            continue
        small = draw(Scene(style, "Castle", seed=2)).astype(float)
        large = draw(Scene(style, "Castle", seed=2), 128).astype(float)
        mean = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
        assert np.abs(mean - small).mean() < 8, style


def test_silhouettes_of_different_objects_overlap_little():
    shapes = {name: silhouette(name) for name in OBJECTS}
    for a, b in combinations(OBJECTS, 2):
        both, either = (shapes[a] & shapes[b]).sum(), (shapes[a] | shapes[b]).sum()
        assert both / either < 0.72, (a, b)


def test_distances_are_distances():
    for name in OBJECTS:
        slope = np.hypot(*np.gradient(solid(name).outline, 3.5 / 255))
        assert slope.max() < 1.2, name  # no cliffs: a glitch in a figure would be one
        assert np.median(slope) > 0.95, name


def test_details_lie_within_the_outline():
    for name in OBJECTS:
        shape = solid(name)
        assert not ((shape.details < 0) & (shape.outline > 0.03)).any(), name


def test_styles_are_told_apart_by_their_backgrounds_colours_and_texture():
    def traits(style: str, seed: int) -> np.ndarray:
        picture = draw(Scene(style, OBJECTS[seed % 20], "small", "", seed)).astype(float) / 255
        blocks = picture.reshape(16, 4, 16, 4, 3)
        rough = np.abs(np.diff(picture, axis=0)).mean(), np.abs(np.diff(picture, axis=1)).mean()
        coarse = blocks.mean((1, 3)).std((0, 1))
        return np.concatenate([picture.mean((0, 1)), picture.std((0, 1)), coarse, rough])

    names = (*STYLES, PHOTO)
    known = np.stack([[traits(s, seed) for seed in range(20)] for s in names])
    centres, spread = known.mean(1), known.std(1).mean(0)
    fresh = np.stack([[traits(s, seed) for seed in range(100, 112)] for s in names])
    far = np.abs((fresh[:, :, None] - centres) / spread).sum(-1)
    right = far.argmin(-1) == np.arange(len(names))[:, None]
    assert right.mean() > 0.97


def test_unknown_names_are_refused_with_the_list_of_known_ones():
    with pytest.raises(UnknownName, match="Van Gogh"):
        scene("Banksy", "Cat", 0)
    with pytest.raises(UnknownName, match="Umbrella"):
        draw(Scene("Monet", "Dog"))
