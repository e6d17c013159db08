"""Classifiers from files: beside transformers' and timm's networks, and as files of strangers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification

from ckptedit.errors import BadParam, CkptError
from ckptedit.evaluation import SUITES
from ckptedit.evaluation.classifiers import Classifiers
from ckptedit.evaluation.eye import Given
from ckptedit.evaluation.vit import ViT, as_input, load_vit
from ckptedit.files import Checkpoint

WORLD = SUITES["unlearncanvas"]()
SMALL = {"width": 128, "depth": 2, "hidden": 256, "patch": 16, "size": 32}


def weights(classes: int, seed: int = 0) -> dict[str, Tensor]:
    """Of a small network, all of them random, norms and biases too."""
    with torch.device("meta"):
        shapes = ViT(classes=classes, **SMALL).state_dict()
    rng = torch.Generator().manual_seed(seed)
    return {name: 0.3 * torch.randn(t.shape, generator=rng) for name, t in shapes.items()}


def saved(path: Path, classes: int, names: list[str] | None = None, seed: int = 0) -> Path:
    metadata = None if names is None else {"classes": json.dumps(names)}
    save_file(weights(classes, seed), path, metadata)
    return path


def as_transformers_names_them(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights; one matrix of query, key and value becomes three."""
    spelled = {
        "cls_token": "vit.embeddings.cls_token",
        "pos_embed": "vit.embeddings.position_embeddings",
        "patch_embed.proj": "vit.embeddings.patch_embeddings.projection",
        "norm": "vit.layernorm",
        "head": "classifier",
        "attn.proj": "attention.o_proj",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    found = {}
    for name, tensor in state.items():
        stem, dot, end = name.rpartition(".") if "." in name else (name, "", "")
        before = ""
        if stem.startswith("blocks."):
            _, layer, stem = stem.split(".", 2)
            before = f"vit.layers.{layer}."
        if stem == "attn.qkv":
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{before}attention.{letter}_proj.{end}"] = part
        else:
            found[f"{before}{spelled[stem]}{dot}{end}"] = tensor
    return found


def test_the_network_is_that_of_transformers(tmp_path: Path) -> None:
    config = ViTConfig(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256,
        image_size=32, patch_size=16, num_labels=7, layer_norm_eps=1e-6,
    )  # fmt: skip
    other = ViTForImageClassification(config).eval()
    other.load_state_dict(as_transformers_names_them(weights(7)))
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with Checkpoint(saved(tmp_path / "vit.safetensors", 7)) as file, torch.no_grad():
        mine, theirs = load_vit(file)(pictures), other(pictures).logits
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_the_network_is_that_of_timm() -> None:
    """timm needs torchvision, so that no extra of the project has it; where both are, it runs."""
    timm = pytest.importorskip("timm", exc_type=Exception)
    other = timm.create_model("vit_tiny_patch16_224", num_classes=5).eval()
    with torch.device("meta"):
        large = ViT(classes=51, width=1024, depth=24, hidden=4096, patch=16, size=224)
        real = timm.create_model("vit_large_patch16_224.augreg_in21k", num_classes=51)
        mine = ViT(classes=5, width=192, depth=12, hidden=768, patch=16, size=224)
    shapes = [{n: t.shape for n, t in m.state_dict().items()} for m in (large, real)]
    assert shapes[0] == shapes[1]
    mine.load_state_dict(other.state_dict(), assign=True)
    pictures = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(mine.eval()(pictures), other(pictures), rtol=1e-5, atol=1e-5)


def test_pictures_are_squeezed_to_a_square_between_minus_1_and_1() -> None:
    pictures = np.zeros((2, 64, 32, 3), np.uint8)
    pictures[1], pictures[0, 32:] = 255, 255
    made = as_input(pictures, 16)
    assert made.shape == (2, 3, 16, 16) and (made[1] == 1).all()
    assert made[0, :, 0].unique().tolist() == [-1] and made[0, :, -1].unique().tolist() == [1]
    flat = Image.fromarray(pictures[0]).resize((16, 16), Image.Resampling.BILINEAR)
    again = torch.tensor(np.asarray(flat) / 255.0 - 0.5).permute(2, 0, 1) / 0.5
    torch.testing.assert_close(made[0].double(), again, rtol=0, atol=1e-6)


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)


def judged(pictures: np.ndarray, *files: Path) -> dict[str, list[int]]:
    class Model:
        device = torch.device("cpu")

    seen = Classifiers(WORLD, Given(classifier=files)).look(Model(), (), pictures)
    return {kind: row.tolist() for kind, row in seen.items()}


def test_a_file_is_of_the_kind_that_has_as_many_classes(
    tmp_path: Path, pictures: np.ndarray
) -> None:
    styles, things = (saved(tmp_path / f"{n}.safetensors", n) for n in (51, 20))
    both = judged(pictures, things, styles)
    assert both == {**judged(pictures, styles), **judged(pictures, things)}
    with Checkpoint(styles) as file, torch.no_grad():
        assert both["style"] == load_vit(file)(as_input(pictures, 32)).argmax(1).tolist()


def test_classes_in_another_order_are_found_by_the_names_in_the_file(
    tmp_path: Path, pictures: np.ndarray
) -> None:
    plain = judged(pictures, saved(tmp_path / "plain.safetensors", 20))["object"]
    turned = [name.lower() for name in (*WORLD.objects[1:], WORLD.objects[0])]
    named = judged(pictures, saved(tmp_path / "named.safetensors", 20, turned))["object"]
    assert named == [(at + 1) % 20 for at in plain]


def test_a_pickle_as_trainers_write_it_is_read_without_running_it(
    tmp_path: Path, pictures: np.ndarray
) -> None:
    path = tmp_path / "style.pth"
    torch.save({"model_state_dict": weights(51)}, path)
    assert judged(pictures, path) == judged(pictures, saved(tmp_path / "s.safetensors", 51))
    torch.save({"model_state_dict": weights(51), "code": print}, path)
    with pytest.raises(CkptError, match="is a pickle that asks for"):
        judged(pictures, path)


def test_files_that_cannot_judge_this_world_are_refused(
    tmp_path: Path, pictures: np.ndarray
) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(
        BadParam, match="7 classes apart, and the suite unlearncanvas has 51 styles"
    ):
        judged(pictures, saved(path, 7))
    with pytest.raises(BadParam, match="second classifier of objects"):
        judged(pictures, saved(path, 20), path)
    with pytest.raises(BadParam, match="20 classes apart"):
        judged(pictures, saved(path, 20, ["cat"] * 20))
    save_file({"head.weight": torch.zeros(20, 128)}, path)
    with pytest.raises(BadParam, match="no classifier that is known here"):
        judged(pictures, path)
    save_file({**weights(20), "extra": torch.zeros(1)}, path)
    with pytest.raises(BadParam, match=r"no classifier .*extra"):
        judged(pictures, path)
    with pytest.raises(BadParam, match="--classifier FILE"):
        judged(pictures)
