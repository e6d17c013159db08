"""A CLIP model from a folder: beside transformers' own, and as a judge."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import random_mini
from transformers import CLIPConfig, CLIPModel

from ckptedit.canvas.draw import draw, scene
from ckptedit.diffusion import open_model
from ckptedit.errors import BadParam
from ckptedit.evaluation import SUITES
from ckptedit.evaluation.clip import CanvasTowers
from ckptedit.evaluation.clip_folder import Crop, FolderTowers
from ckptedit.evaluation.eye import NOBODY, Given
from ckptedit.evaluation.suite import Cell
from ckptedit.evaluation.towers import ZeroShot
from ckptedit.families import MINI
from ckptedit.families.mini import CHECKPOINT

WORLD = SUITES["canvas"]()
PROMPTS = ["an image of a Cat in Monet style", "a key", "key " * 200]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP model with random weights, mini's tokenizer, and no preprocessor's config."""
    path = tmp_path_factory.mktemp("clip")
    rows = len((MINI.folder / "tokenizer" / "vocab.json").read_text().split('":'))
    config = CLIPConfig(
        text_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "vocab_size": rows, "max_position_embeddings": 32,
                     "eos_token_id": 1, "bos_token_id": 0},
        vision_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(path)
    for file in (MINI.folder / "tokenizer").iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    return open_model(random_mini(tmp_path_factory.mktemp("mini") / "mini.safetensors"))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def test_scores_are_the_cosines_of_transformers_own_model(folder, model, pictures) -> None:
    towers = FolderTowers(WORLD, Given(clip=folder))
    read = towers._tokenizer(PROMPTS, padding=True, truncation=True, max_length=32,
                             return_tensors="pt")  # fmt: skip
    cut = torch.stack([towers._crop(each) for each in pictures])
    whole = CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        seen = whole(**read, pixel_values=cut)
        logits = seen.logits_per_image / whole.logit_scale.exp()
    cells = [Cell("", "", 0, frame=prompt) for prompt in PROMPTS]
    answers = towers.look(model, cells, pictures)
    torch.testing.assert_close(torch.tensor(answers["fit"]), logits.diag(), rtol=1e-4, atol=1e-5)
    assert answers["features"].shape == (3, 16)


def test_a_picture_is_cut_as_clip_cuts_it() -> None:
    """The shorter side to 2, the middle of it, and the mean taken off."""
    picture = np.zeros((2, 6, 3), np.uint8)
    picture[:, 2:4] = 255
    cut = Crop(2, 2, (0.5, 0.5, 0.5), (0.5, 0.5, 0.25))(picture)
    assert cut[:, 0, 0].tolist() == [1, 1, 2] and cut.shape == (3, 2, 2)


def test_the_preprocessors_own_config_counts(folder: Path, pictures: np.ndarray) -> None:
    plain = FolderTowers(WORLD, Given(clip=folder))
    file = folder / "preprocessor_config.json"
    file.write_text('{"size": {"shortest_edge": 40}, "image_mean": [0, 0, 0]}')
    try:
        other = FolderTowers(WORLD, Given(clip=folder))
    finally:
        file.unlink()
    assert other.key != plain.key and (other._crop.edge, other._crop.size) == (40, 32)
    assert not torch.equal(other.embed(pictures), plain.embed(pictures))


def test_a_folder_without_a_clip_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadParam, match="holds no CLIP model"):
        FolderTowers(WORLD, Given(clip=tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "siglip"}')
    with pytest.raises(BadParam, match="says 'siglip'"):
        FolderTowers(WORLD, Given(clip=tmp_path))


def test_minis_towers_name_what_the_canvas_draws() -> None:
    """Zero-shot: nobody trained a head on these; drawn pictures, every kind of style."""
    names = [(style, WORLD.objects[i % 20]) for i, style in enumerate(WORLD.styles)]
    drawn = np.stack([draw(scene(*each, 9100)) for each in names])
    seen = ZeroShot(WORLD, CanvasTowers(WORLD, NOBODY)).look(open_model(CHECKPOINT), (), drawn)
    for kind, known, at in (("style", WORLD.styles, 0), ("object", WORLD.objects, 1)):
        hits = [known[i] == each[at] for i, each in zip(seen[kind], names, strict=True)]
        assert np.mean(hits) > 0.8, kind
