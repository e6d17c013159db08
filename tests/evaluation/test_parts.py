"""Shards, what is kept on disk, and limits: exactly the figures of one run, at no second cost."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import random_mini

from ckptedit import evaluate
from ckptedit.errors import BadParam
from ckptedit.evaluation import SUITES, drawing, shard
from ckptedit.evaluation.evaluate import prepare
from ckptedit.evaluation.eye import Given
from ckptedit.evaluation.limits import failures
from ckptedit.evaluation.parts import Part, merged, read_part
from ckptedit.evaluation.score import Scores
from ckptedit.evaluation.shard import of_shard, parse_shard

WORLD = SUITES["canvas"]()
SMALL = 8  # cells of a block here: fewer pictures show the same
FEW = {"erased": ["Van Gogh"], "companions": 2, "steps": 1}
FEW["retain"] = [name for name in WORLD.styles if name != "Van Gogh"][:5]  # 12: two blocks


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (drawing, shard):
            patch.setattr(module, "BLOCK", SMALL)
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("parts") / "mini.safetensors")


@pytest.fixture(scope="module")
def parts(path: Path) -> list[Part]:
    planned = prepare(path, against=path, cache=False, **FEW)
    return [planned.part((i, 3)) for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def whole(path: Path) -> Scores:
    return evaluate(path, against=path, cache=False, **FEW)


def test_all_shards_are_one_run_to_the_last_bit(parts: list[Part], whole: Scores) -> None:
    assert SMALL < whole.n == 12 < 2 * SMALL  # the third shard is empty
    assert merged(parts) == merged(parts[::-1]) == whole
    assert {d.value for d in whole.differences.values()} == {0}


def test_a_part_is_what_it_was_after_a_way_through_a_file(
    parts: list[Part], tmp_path: Path
) -> None:
    for part in parts:
        (tmp_path / "part.json").write_text(part.as_json())
        assert read_part(tmp_path / "part.json") == part


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_every_cell_is_in_one_shard_and_blocks_are_whole(n: int) -> None:
    cells = range(3 * SMALL + 5)
    shards = [of_shard(cells, (i + 1, n)) for i in range(n)]
    assert sorted(at for shard in shards for at in shard) == list(cells)
    assert {at // SMALL for at in shards[0]} == set(range(0, 4, n))


def test_parts_that_do_not_make_one_evaluation_are_refused(parts: list[Part]) -> None:
    with pytest.raises(BadParam, match="each of the 3 shards once, got 1/3, 2/3"):
        merged(parts[:2])
    with pytest.raises(BadParam, match="each of the 3 shards once"):
        merged([*parts, parts[0]])
    other = replace(parts[2], asked={**parts[2].asked, "steps": 9})
    with pytest.raises(BadParam, match="the steps of shard 3/3 is another"):
        merged([*parts[:2], other])


def test_shards_whose_prompts_are_read_otherwise_are_not_put_together(
    path: Path, parts: list[Part]
) -> None:
    other = prepare(path, against=path, cache=False, clip_skip=2, **FEW).part((3, 3))
    with pytest.raises(BadParam, match="the clip_skip of shard 3/3 is another"):
        merged([*parts[:2], other])
    vocabulary = {**parts[2].asked, "tokenizer": "0" * 64}
    assert vocabulary != parts[2].asked and len(parts[2].asked["tokenizer"]) == 64
    with pytest.raises(BadParam, match="the tokenizer of shard 3/3 is another"):
        merged([*parts[:2], replace(parts[2], asked=vocabulary)])


def test_two_programs_are_not_one_detector_wherever_they_are(path: Path) -> None:
    def part(i: int, command: str) -> Part:
        given = Given(detector=f"{command} {{folder}}")
        return prepare(path, given=given, **{**FEW, "retain": ["Neon", "Cat"]}).part((i, 2))

    empty = part(2, "/opt/bin/nudenet --low")  # two pictures are one block, of the first shard
    for command, same in (("/home/me/nudenet --low", True), ("/opt/bin/nudenet", False)):
        assert (part(2, command).asked == empty.asked) == same
    with pytest.raises(BadParam, match="the detector of shard 2/2 is another"):
        merged([part(2, "nudenet"), empty])


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", "-1/2"])
def test_a_shard_is_one_of_n(text: str) -> None:
    with pytest.raises(BadParam, match="write I/N"):
        parse_shard(text)
    assert parse_shard("2/4") == (2, 4)


def test_a_file_that_is_no_part_is_refused(parts: list[Part], tmp_path: Path) -> None:
    file = tmp_path / "part.json"
    short = json.loads(parts[0].as_json())
    short["seen"]["style"].pop()
    for text in ("{}", "[1]", "no", json.dumps(short)):
        file.write_text(text)
        with pytest.raises(BadParam, match=r"part\.json is no part of an evaluation"):
            read_part(file)


def test_the_second_time_nothing_is_drawn_and_nobody_asked(
    path: Path, whole: Scores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CKPTEDIT_CACHE", str(tmp_path))
    drawn = []
    sample = drawing.sample
    monkeypatch.setattr(
        drawing, "sample", lambda *given, **how: drawn.append(1) or sample(*given, **how)
    )
    first = evaluate(path, against=path, **FEW)
    assert len(drawn) == 2 and first == whole  # blocks, drawn once though two checkpoints asked
    for kept in tmp_path.glob("pictures-*"):
        kept.unlink()
    assert evaluate(path, against=path, **FEW) == whole  # from the answers alone
    assert len(drawn) == 2
    few = {**FEW, "retain": "Neon", "companions": 1}
    evaluate(path, **few)
    evaluate(path, **{**few, "steps": 2})
    evaluate(random_mini(tmp_path / "other.safetensors", seed=9), **few)
    assert len(drawn) == 5  # of other cells, numbers or weights nothing is known


def test_many_pictures_are_not_kept_but_what_was_seen_in_them_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CKPTEDIT_CACHE", str(tmp_path))
    few = {**FEW, "retain": ["Neon", "Cat"]}
    monkeypatch.setattr(drawing, "MAX_KEPT", 2 * 3 * 64 * 64 - 1)  # one byte less than it takes
    evaluate(path, **few)
    assert {file.name.split("-")[0] for file in tmp_path.iterdir()} == {"answers"}
    monkeypatch.setattr(drawing, "MAX_KEPT", 2 * 3 * 64 * 64)
    evaluate(path, **{**few, "steps": 2})
    assert len(list(tmp_path.glob("pictures-*"))) == 1


def test_a_judgement_is_not_taken_from_another_eye(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CKPTEDIT_CACHE", str(tmp_path))
    planned = prepare(path, **{**FEW, "retain": ["Neon", "Cat"]})
    seen = planned.part().seen

    class Blind:
        key = "blind"

        def look(self, model, cells, pictures):
            return {"style": np.full(len(cells), -1), "object": np.zeros(len(cells), int)}

    other = replace(planned, eyes=(Blind(),)).part().seen
    assert other["style"] == [None] * 2 != seen["style"] and "fit" not in other


def limited(ua: float | None, ra_i: float | None, ra_c: float | None, **limits: float) -> list[str]:
    figures = dict.fromkeys(Scores.__dataclass_fields__) | {"per_concept": [], "n": 1}
    scores = Scores(**{**figures, "ua": ua, "ra_i": ra_i, "ra_c": ra_c})
    return failures(scores, **{"min_ua": None, "min_ra": None, **limits})


def test_a_limit_that_failed_is_named_with_its_figure() -> None:
    assert limited(0.9, 0.8, 0.7) == []
    assert limited(0.9, 0.8, 0.7, min_ua=0.9, min_ra=0.7) == []
    assert limited(0.9, 0.8, 0.7, min_ua=0.95) == ["UA is 90%, below --min-ua 95%"]
    assert limited(0.9, 0.8, 0.7, min_ra=0.9) == [
        "RA-I is 80%, below --min-ra 90%",
        "RA-C is 70%, below --min-ra 90%",
    ]
    assert limited(0.9996, 1, 1, min_ua=1) == ["UA is 99.96%, below --min-ua 100%"]


def test_what_was_not_measured_reaches_no_limit_above_0() -> None:
    assert limited(None, 1, None, min_ua=0.5) == ["UA not measured, and --min-ua is 50%"]
    assert limited(None, 1, None, min_ua=0, min_ra=1) == []
    assert limited(1, None, None, min_ra=0.1) == ["RA-I and RA-C not measured, and --min-ra is 10%"]
