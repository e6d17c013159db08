"""The grid shows every picture unchanged, in its place, under a label that is there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ckptedit.diffusion import Model, grid, noises_for, sample, sample_sheet, save_png
from ckptedit.diffusion.grid import CELL, _font, _wrapped
from ckptedit.errors import BadParam, WriteFailed

RNG = np.random.default_rng(0)


def places(page: Image.Image, picture: np.ndarray) -> list[tuple[int, int]]:
    """Where in the page (left, top) a picture, enlarged, is to be seen exactly."""
    factor = -(-CELL // picture.shape[1])
    big = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    seen = np.asarray(page)
    windows = np.lib.stride_tricks.sliding_window_view(seen[..., 0], big.shape[:2])
    tops, lefts = np.nonzero((windows[:, :, ::factor, 0] == big[::factor, 0, 0]).all(axis=-1))
    height, width = big.shape[:2]
    return [
        (int(left), int(top))
        for top, left in zip(tops, lefts, strict=True)
        if (seen[top : top + height, left : left + width] == big).all()
    ]


def test_every_picture_is_there_once_in_its_row_and_column() -> None:
    pictures = RNG.integers(0, 256, (2, 4, 64, 64, 3), dtype=np.uint8)
    page = grid(pictures, rows=["a cat", "a dog"], columns=list("abcd"), group=2)
    found = [[places(page, picture) for picture in row] for row in pictures]
    assert all(len(place) == 1 for row in found for place in row)
    lefts = [[place[0][0] for place in row] for row in found]
    tops = [[place[0][1] for place in row] for row in found]
    assert lefts[0] == lefts[1] == sorted(lefts[0])
    assert len(set(tops[0])) == 1
    assert tops[0][0] < tops[1][0]
    gaps = np.diff(lefts[0])
    assert gaps[0] == gaps[2] < gaps[1]  # pairs stand together


def test_labels_are_written_and_differ() -> None:
    picture = np.full((1, 1, 64, 64, 3), 200, np.uint8)
    one, two = (grid(picture, rows=[text], columns=["seed 0"]) for text in ("a cat", "a dog"))
    assert (np.asarray(one) != np.asarray(two)).any()
    blank = grid(picture, rows=[""], columns=[""])
    assert np.asarray(one).min() < 60 < np.asarray(blank).min()


def test_long_labels_are_wrapped_and_lose_nothing() -> None:
    text = "a very long prompt with many words and one " + "x" * 60
    lines = _wrapped(text, 150)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(_font().getlength(line) for line in lines) <= 150
    picture = np.zeros((1, 1, 200, 200, 3), np.uint8)
    short, long = (grid(picture, rows=[t], columns=["a"]) for t in ("a", text * 3))
    assert long.width == short.width
    assert long.height > short.height


def test_pictures_large_enough_are_not_enlarged() -> None:
    page = grid(np.zeros((1, 1, 300, 300, 3), np.uint8), rows=["a"], columns=["b"])
    assert page.width < 340


def test_a_png_is_whole_and_never_overwrites_unasked(tmp_path: Path) -> None:
    page = Image.new("RGB", (5, 4), (1, 2, 3))
    target = tmp_path / "page.png"
    save_png(page, target)
    assert np.array_equal(np.asarray(Image.open(target)), np.asarray(page))
    with pytest.raises(Exception, match=r"page\.png"):
        save_png(page, target)
    save_png(Image.new("RGB", (6, 4)), target, force=True)
    assert Image.open(target).size == (6, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["page.png"]
    with pytest.raises(WriteFailed):
        save_png(page, tmp_path / "absent" / "page.png")


def test_a_sheet_pairs_both_models_on_the_same_noise(model: Model) -> None:
    page = sample_sheet([model, model], ["a cat", "a dog"], seeds=2, steps=2)
    noise = noises_for((4, 8, 8), [("sample", 0), ("sample", 1)])
    expected = sample(model, ["a dog", "a dog"], noise=noise, steps=2)
    for picture in expected:
        assert len(places(page, picture)) == 2


def test_a_sheet_without_seeds_is_refused(model: Model) -> None:
    with pytest.raises(BadParam, match="seeds"):
        sample_sheet([model], ["a cat"], seeds=0)
