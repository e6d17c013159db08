"""KID and FID by hand and beside scipy; folders of pictures; another program as a detector."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm

from ckptedit.errors import BadParam
from ckptedit.evaluation.clip import CanvasTowers
from ckptedit.evaluation.detector import Detector, scores
from ckptedit.evaluation.eye import NOBODY, Given
from ckptedit.evaluation.fidelity import distance, fid, kid, packed, paired_kid, unpacked
from ckptedit.evaluation.reference import read_features, require_comparable
from ckptedit.evaluation.suite import Cell
from ckptedit.progress import silent


def test_kid_worked_by_hand() -> None:
    """Of one feature: k(x, y) = (xy + 1)³. {0, 1} and {1, 2}: 1 and 27, less twice 11.25."""
    a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    # k(0,1) = 1; k(1,2) = 27; k(0,1), k(0,2), k(1,1), k(1,2) = 1, 1, 8, 27
    assert kid(a, b) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    assert kid(a[:1], b) is None


def test_pictures_that_are_pairs_are_not_held_against_each_other() -> None:
    """{0, 1} and {1, 2} again, in pairs: of the cross terms k(0, 2) = 1 and k(1, 1) = 8 count."""
    a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert paired_kid(a, b) == pytest.approx(1 + 27 - (1 + 8))
    assert paired_kid(a, a) == 0 > kid(a, a) and paired_kid(a[:1], b[:1]) is None


def test_kid_has_no_bias_where_both_are_of_one_kind() -> None:
    rng = np.random.default_rng(0)
    found = [kid(rng.normal(size=(8, 4)), rng.normal(size=(8, 4))) for _ in range(2000)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 2000**0.5
    shifted = kid(rng.normal(size=(80, 4)), 1 + rng.normal(size=(80, 4)))
    assert shifted > 4 * np.std(found)


def test_fid_is_the_formula_with_scipys_root() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 6)), rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6)) + 1
    ca, cb = np.cov(a.T), np.cov(b.T)
    gap = a.mean(0) - b.mean(0)
    assert fid(a, b) == pytest.approx(gap @ gap + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real))
    assert fid(a, a) == pytest.approx(0, abs=1e-9)
    assert fid(a[:6], b) is None  # six pictures do not say what six features do together


def test_features_go_through_json_to_the_bit() -> None:
    features = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    rows = json.loads(json.dumps(packed(features)))
    assert (unpacked(rows).astype(np.float32) == features).all()
    assert distance(rows, rows).n == (3, 3) and distance(rows, []) is None


def test_a_folder_of_pictures_gives_the_features_of_the_pictures(tmp_path: Path) -> None:
    towers, cpu = CanvasTowers(None, NOBODY), torch.device("cpu")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    for name, picture in zip(("b.png", "a.PNG"), pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not one")
    rows = unpacked(read_features(tmp_path, towers, cpu, silent))
    assert np.allclose(rows, towers.embed(pictures[::-1].copy()), atol=1e-5)
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    with pytest.raises(BadParam, match=r"c\.jpg is no picture"):
        read_features(tmp_path, towers, cpu, silent)
    with pytest.raises(BadParam, match="no pictures"):
        require_comparable(tmp_path / "nowhere", towers)
    with pytest.raises(BadParam, match="--clip DIR"):
        require_comparable(tmp_path, None)


PROGRAM = """
import json, pathlib, sys
from PIL import Image
files = sorted(pathlib.Path(sys.argv[1]).iterdir())
print(json.dumps({file.name: Image.open(file).getpixel((0, 0))[0] / 255 for file in files}))
"""


def command(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {{folder}}"


def looked(program: str) -> list[float]:
    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    pictures[1] = 255
    cells = [Cell("../up", "Cat", 0), Cell("Van Gogh", "Cat", 1)]
    eye = Detector(None, Given(detector=command(program)))
    return eye.look(None, cells, pictures)["detector"].tolist()


def test_a_detector_sees_every_picture_and_its_number_comes_back() -> None:
    assert looked(PROGRAM) == [0, 1]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; print('no', file=sys.stderr); sys.exit(3)", "status 3: no"),
        ("print('{}')", "said nothing of 2 pictures"),
        ("print('[1]')", "a list of 2"),
        ("print('[1, null]')", "neither a number nor a list"),
        ("print('x')", "not valid JSON"),
    ],
)
def test_a_detector_that_fails_is_an_error(program: str, says: str) -> None:
    with pytest.raises(Exception, match=says):
        looked(program)


def test_of_several_detections_the_highest_counts() -> None:
    nudenet = {"x/b.png": [], "x/a.png": [{"class": "A", "score": 0.25}, {"score": 0.5}]}
    assert scores(nudenet, ["a.png", "b.png"]) == [0.5, 0]
    assert scores([True, [0.2, 0.1]], ["a.png", "b.png"]) == [1, 0.2]


@pytest.mark.parametrize("line", ["nudenet", "", "'"])
def test_a_command_that_gets_no_folder_is_refused(line: str) -> None:
    with pytest.raises(BadParam, match="--detector"):
        Detector(None, Given(detector=line))
