"""What `diff` says of the embeddings that an edit moves: along a subspace, and word by word."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from refusal import refused
from safetensors.torch import load_file, save_file
from tiny_model import random_mini
from typer.testing import CliRunner, Result

import ckptedit
from ckptedit.cli import app
from ckptedit.deltas.delta import FORMAT
from ckptedit.drift import Drift
from ckptedit.drift import diff as run_diff
from ckptedit.drift.run import DELTA
from ckptedit.errors import BadParam
from ckptedit.families import MINI, kv_weights
from ckptedit.files import Checkpoint
from ckptedit.text import load_text_encoder

TEXT = "cond_stage_model.transformer.text_model.final_layer_norm.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_mini(tmp_path_factory.mktemp("mini") / "base.safetensors")


@pytest.fixture(scope="module")
def names(base: Path) -> list[str]:
    return [weight.name for weight in kv_weights(Checkpoint(base))]


def edited(base: Path, target: Path, **changes: torch.Tensor) -> Path:
    """A copy of a checkpoint with something added to some tensors."""
    tensors = load_file(base)
    for name, change in changes.items():
        tensors[name] = tensors[name] + change
    save_file(tensors, target)
    return target


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def basis_file(target: Path, rows: torch.Tensor) -> Path:
    save_file({"basis": rows.contiguous()}, target)
    return target


def rows_of(base: Path, name: str) -> int:
    return int(Checkpoint(base)[name].shape[0])


def test_shares_of_a_drift_along_a_subspace_are_those_made_by_hand(
    base: Path, names: list[str], tmp_path: Path
) -> None:
    """3 in it and 4 outside are 9 and 16 of 25; a second edit of 5 lies all outside."""
    eye, (one, other, *_) = torch.eye(256), names
    up, up2 = (torch.nn.functional.normalize(random(rows_of(base, n), 1), dim=0) for n in names[:2])
    new = edited(
        base, tmp_path / "new.safetensors",
        **{one: up @ (3 * eye[:1] + 4 * eye[5:6]), other: up2 @ (5 * eye[7:8])},
    )  # fmt: skip
    along = run_diff(base, new, along=basis_file(tmp_path / "b.safetensors", eye[:3])).along
    assert along and set(along.tensors) == {one, other}
    first, second = along.tensors[one], along.tensors[other]
    assert (first.inside, first.outside) == pytest.approx((9 / 25, 16 / 25), rel=1e-4)
    assert (second.inside, second.outside) == pytest.approx((0, 1), abs=1e-6)
    assert along.total.inside == pytest.approx(9 / 50, rel=1e-4)
    before = load_file(base)[one][:, :3].float().norm()
    assert first.moved == pytest.approx(3 / float(before), rel=1e-4)


def naive(base: Path, new: Path, texts: dict[str, str]) -> dict[str, float]:
    """‖W'e' - We‖ / ‖We‖ over all weights, at the last token of a word and the end, one by one."""
    sides = [Checkpoint(path) for path in (base, new)]
    pairs = [
        [side.tensor(weight.name).double() for side in sides] for weight in kv_weights(sides[0])
    ]
    encoders = [load_text_encoder(side, MINI) for side in sides]
    found = {}
    for word, prompt in texts.items():
        read = [encoder.encode([prompt]) for encoder in encoders]
        (end,) = read[0].lengths.tolist()
        was, now = (each.hidden[0, end - 2 : end].double() for each in read)
        far = sum((now @ w2.mT - was @ w.mT).square().sum() for w, w2 in pairs)
        size = sum((was @ w.mT).square().sum() for w, _ in pairs)
        found[word] = float(far / size) ** 0.5
    return found


@pytest.mark.parametrize("text", [False, True], ids=["keys and values", "the encoder too"])
def test_words_move_as_far_as_their_keys_and_values_do_one_by_one(
    base: Path, names: list[str], tmp_path: Path, text: bool
) -> None:
    changes = {
        name: 0.03 * random(rows_of(base, name), 1) @ random(1, 256, seed=i)
        for i, name in enumerate(names[1:4])
    }
    if text:
        changes[TEXT] = 0.1 * random(256)
    new = edited(base, tmp_path / "new.safetensors", **changes)
    words = run_diff(base, new, words=9999).words
    assert words and words.count == len(words.farthest)
    moved = {word.word: word.moved for word in words.farthest}
    texts = {name: f"a picture of {name}" for name in ("Van Gogh", "Cat", "landscape", "oil")}
    for word, expected in naive(base, new, texts).items():
        assert moved[word] == pytest.approx(expected, rel=1e-4)
    assert list(moved.values()) == sorted(moved.values(), reverse=True)
    assert words.median == pytest.approx(np.median(list(moved.values())))


def test_keys_and_values_are_told_apart(base: Path, names: list[str], tmp_path: Path) -> None:
    values = [name for name in names if name.endswith("to_v.weight")]
    changes = {name: 0.1 * random(rows_of(base, name), 256) for name in values}
    words = run_diff(base, edited(base, tmp_path / "n.safetensors", **changes), words=3).words
    assert words and len(words.farthest) == 3
    for word in words.farthest:
        assert word.keys == 0 < word.moved < word.values


def test_a_word_at_right_angles_to_an_edit_does_not_move(
    base: Path, names: list[str], tmp_path: Path
) -> None:
    encoder = load_text_encoder(Checkpoint(base), MINI)
    read = encoder.encode(["a picture of Cat"])
    (end,) = read.lengths.tolist()
    own = torch.linalg.qr(read.hidden[0, end - 2 : end].mT).Q  # [256, 2]
    row = random(1, 256)
    row = row - row @ own @ own.mT
    change = {names[0]: random(rows_of(base, names[0]), 1) @ row}
    words = run_diff(base, edited(base, tmp_path / "n.safetensors", **change), words=9999).words
    assert words and words.farthest[-1].word == "Cat"
    assert words.farthest[-1].moved < 1e-4 * words.median


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["diff", *map(str, arguments)])


@pytest.fixture
def asked(base: Path, names: list[str], tmp_path: Path) -> tuple[Path, list[object]]:
    """An edit, and the options that ask for all that is said of it."""
    change = {names[0]: random(rows_of(base, names[0]), 1) @ random(1, 256)}
    basis = basis_file(tmp_path / "b.safetensors", torch.eye(256)[:4])
    return edited(base, tmp_path / "new.safetensors", **change), ["--along", basis, "--words", 5]


def test_a_delta_file_is_the_edit_that_it_holds(
    base: Path, asked: tuple[Path, list[object]], tmp_path: Path
) -> None:
    new, options = asked
    ckptedit.write_delta(base, new, tmp_path / "d.safetensors")
    reports = [
        json.loads(run(base, side, *options, "--json").stdout)
        for side in (new, tmp_path / "d.safetensors")
    ]
    for report in reports:
        assert report["along"]["total"] == pytest.approx(reports[0]["along"]["total"], rel=1e-3)
        assert [w["word"] for w in report["words"]["farthest"]] == [
            w["word"] for w in reports[0]["words"]["farthest"]
        ]
        assert report["total"]["l2"] == pytest.approx(reports[0]["total"]["l2"], rel=1e-3)
        assert (report["counts"]["changed"], report["added"]) == (1, [])


def test_the_tables_name_the_subspace_and_the_words(
    base: Path, asked: tuple[Path, list[object]], tmp_path: Path
) -> None:
    new, options = asked
    report = tmp_path / "report.md"
    done = run(base, new, *options, "--markdown", report)
    text = report.read_text()
    drift: Drift = run_diff(base, new, along=options[1], words=5)  # type: ignore[arg-type]
    assert done.exit_code == 1 and drift.along and drift.words
    assert f"{drift.along.total.inside:.2%}" in done.stdout
    assert "4 of 256 directions, which by chance hold 1.6%" in done.stdout
    total = drift.along.total
    assert f"| all K/V weights | {total.inside:.2%} | {total.outside:.2%} |" in text
    assert "4 of 256 directions (by chance 1.6%)" in text
    for word in drift.words.farthest:
        assert f"{word.moved:.4f}" in done.stdout and word.word in done.stdout
        assert f"| `{word.word}` | {word.moved:.4f} | {word.keys:.4f} |" in text


def test_where_nothing_changed_nothing_moved_and_that_is_said(
    base: Path, asked: tuple[Path, list[object]], tmp_path: Path
) -> None:
    text = tmp_path / "report.md"
    done = run(base, base, *asked[1], "--markdown", text)
    assert done.exit_code == 0
    assert "no K/V weight changed.\n" in text.read_text() and "words moved.\n" in text.read_text()
    assert "no K/V weight changed" in done.stdout and "words moved\n" in done.stdout
    report = json.loads(run(base, base, *asked[1][:2], "--json").stdout)
    assert report["along"]["total"]["inside"] is None and report["words"] is None


def test_what_cannot_be_told_is_one_line_and_status_two(
    base: Path, names: list[str], asked: tuple[Path, list[object]], tmp_path: Path
) -> None:
    new, options = asked
    unet = {n: t for n, t in load_file(base).items() if n.startswith("model.diffusion_model.")}
    save_file(unet, tmp_path / "unet.safetensors")
    bare = tmp_path / "unet.safetensors"
    refused(run(bare, bare, "--words", 3), "holds no text encoder", "give the whole checkpoint")
    assert run(bare, bare, *options[:2]).exit_code == 0
    narrow = basis_file(tmp_path / "narrow.safetensors", torch.eye(8)[:1])
    refused(run(base, new, "--along", narrow), "width 8", "embeddings of width 256")
    refused(run(base, new, "--along", base), "holds no subspace")
    refused(run(base, new, *options, "--keys", "cond_stage_model.**"), "no cross-attention K/V")
    refused(run(base, new, "--words", 3, "--tokenizer", "absent"), "there is no tokenizer")
    nan = {names[0]: torch.full((rows_of(base, names[0]), 256), torch.nan)}
    refused(run(base, edited(base, tmp_path / "nan.safetensors", **nan), *options), "NaN or Inf")
    with pytest.raises(BadParam, match="words must be 0 or more"):
        run_diff(base, new, words=-1)


def test_a_delta_is_known_by_the_mark_that_it_bears() -> None:
    assert DELTA == FORMAT
