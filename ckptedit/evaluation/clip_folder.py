"""A CLIP model of the user's, from a folder in transformers' layout.

Radford et al., 2021, https://arxiv.org/abs/2103.00020. Pictures are cut and scaled as the folder's
preprocessor_config.json says, by PIL alone: transformers' own way needs torchvision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from ckptedit.diffusion import Model
from ckptedit.errors import BadCheckpoint, BadParam, CkptError
from ckptedit.evaluation.eye import Given
from ckptedit.evaluation.suite import World
from ckptedit.evaluation.towers import CPU, Towers
from ckptedit.files import Checkpoint, escape
from ckptedit.files.bounded import read_json
from ckptedit.files.cache import digest

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's own pictures
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
AT_ONCE = 16  # pictures
TEXTS = 64


class FolderTowers(Towers):
    """Both towers of the folder, whatever the checkpoint reads its prompts with."""

    def __init__(self, world: World, given: Given) -> None:
        """Raises BadParam for a folder that holds no CLIP model."""
        self.folder = folder = given.clip or Path()
        try:
            config = read_json(folder / "config.json")
            weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
            if config.get("model_type") != "clip" or weights is None:
                raise BadCheckpoint(
                    f"its config.json says {config.get('model_type')!r}, and it has to hold "
                    f"{WEIGHTS[0]}"
                )
            with Checkpoint(weights) as file:
                facts = [file.data_sha256(), str(config)]
            self._crop = _preprocessing(folder, int(config["vision_config"].get("image_size", 224)))
        except (CkptError, KeyError, TypeError, ValueError) as error:
            raise BadParam(f"{escape(folder)} holds no CLIP model: {error}") from None
        self.key = digest([*facts, str(self._crop)])
        self.name = f"CLIP {self.key[:12]}"

    @cached_property
    def _model(self) -> Any:
        from transformers import CLIPModel

        return CLIPModel.from_pretrained(
            str(self.folder), local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()

    @cached_property
    def _tokenizer(self) -> Any:
        from ckptedit.text.tokenizer import load_tokenizer

        return load_tokenizer(self.folder)

    @torch.no_grad()
    def words(self, model: Model, prompts: Sequence[str]) -> Tensor:
        """Longer prompts than the tower reads are cut short, as in all CLIP scores."""
        done = []
        for at in range(0, len(prompts), TEXTS):
            read = self._tokenizer(
                list(prompts[at : at + TEXTS]), padding=True, truncation=True,
                max_length=self._most, return_tensors="pt", verbose=False,
            )  # fmt: skip
            tower = self._model.to(model.device)
            done.append(_tensor(tower.get_text_features(**read.to(model.device))))
        return normalize(torch.cat(done), dim=1).cpu()

    @torch.no_grad()
    def embed(self, pictures: np.ndarray, device: torch.device = CPU) -> Tensor:
        cut, model = torch.stack([self._crop(each) for each in pictures]), self._model.to(device)
        parts = [_tensor(model.get_image_features(p.to(device))) for p in cut.split(AT_ONCE)]
        return torch.cat(parts).cpu()

    @property
    def _most(self) -> int:
        """Tokens that the tower of words reads."""
        return int(self._model.config.text_config.max_position_embeddings)


@dataclass(frozen=True)
class Crop:
    """The shorter side to `edge`, bicubic; the middle square of `size`; then the mean taken off."""

    edge: int
    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, picture: np.ndarray) -> Tensor:
        """uint8 [h, w, 3] -> [3, size, size]"""
        height, width = picture.shape[:2]
        scale = self.edge / min(height, width)
        wide = (max(self.edge, int(scale * width)), max(self.edge, int(scale * height)))
        scaled = Image.fromarray(picture).resize(wide, Image.Resampling.BICUBIC)
        left, top = ((side - self.size) // 2 for side in scaled.size)
        middle = scaled.crop((left, top, left + self.size, top + self.size))
        values = torch.from_numpy(np.array(middle)).permute(2, 0, 1).float() / 255
        mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in (self.mean, self.deviation))
        return (values - mean) / deviation


def _preprocessing(folder: Path, size: int) -> Crop:
    """What preprocessor_config.json says, which may not be there. size: that the tower takes"""
    path = folder / "preprocessor_config.json"
    said = read_json(path) if path.is_file() else {}
    edge: Any = said.get("size", size)
    edge = edge.get("shortest_edge", edge.get("height", size)) if isinstance(edge, dict) else edge
    mean, deviation = said.get("image_mean", MEAN), said.get("image_std", DEVIATION)
    return Crop(int(edge), size, tuple(map(float, mean)), tuple(map(float, deviation)))


def _tensor(features: Any) -> Tensor:
    """transformers 5 wraps them."""
    found: Tensor = getattr(features, "pooler_output", features)
    return found.float()
