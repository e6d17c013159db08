"""Contact sheets: every picture is where its labels say."""

import numpy as np
import pytest

from ckptedit.canvas.sheet import contact_sheet


def test_pictures_stand_in_rows_and_columns():
    pictures = np.zeros((2, 3, 8, 8, 3), np.uint8)
    for r in range(2):
        for c in range(3):
            pictures[r, c] = (10 + r, 20 + c, 200)  # no label has a colour
    sheet = np.asarray(contact_sheet(pictures, ["a", "b"], ["x", "y", "z"], zoom=2))
    middle = np.zeros((2, 3, 2))
    for r in range(2):
        for c in range(3):
            at = np.argwhere((sheet == (10 + r, 20 + c, 200)).all(-1))
            assert len(at) == 16 * 16
            assert (at.max(0) - at.min(0) == 15).all()
            middle[r, c] = at.mean(0)
    assert (np.diff(middle[..., 0], axis=0) == 19).all()  # 16 and a gap of 3
    assert (np.diff(middle[..., 1], axis=1) == 19).all()


def test_labels_must_fit_the_grid():
    with pytest.raises(ValueError, match="3 columns"):
        contact_sheet(np.zeros((2, 2, 4, 4, 3), np.uint8), ["a", "b"], ["x", "y", "z"])
