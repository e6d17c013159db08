"""Makes everything that ships with `mini`, stage by stage, each resumable where it was stopped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ckptedit.canvas.contrast import Contrast, spread_text, train_contrast
from ckptedit.canvas.draw import OBJECTS
from ckptedit.canvas.parts import encode, normalise, train_judge, train_unet, train_vae
from ckptedit.canvas.pool import ALL_STYLES, Pool
from ckptedit.evaluation.judge import CLIP_FILE, JUDGE_FILE
from ckptedit.families import MINI, to_ldm
from ckptedit.families.mini import CHECKPOINT
from ckptedit.files import Spec, write
from ckptedit.progress import Track, silent

EACH = 40  # pictures of every style and object


@dataclass(frozen=True)
class Workshop:
    """runs: folder of states and pictures; device: "cpu" or "cuda"; each: pictures a combination"""

    runs: Path
    device: str = "cpu"
    each: int = EACH
    track: Track = silent

    def pool(self) -> Pool:
        return Pool(self.runs / f"pool-{self.each}.npy", self.each, track=self.track)

    def judge(self) -> nn.Module:
        return train_judge(
            self.pool(), self.runs / "judge.pt", device=self.device, track=self.track
        )

    def vae(self) -> nn.Module:
        pool = self.pool()
        vae = train_vae(pool, self.runs / "vae.pt", device=self.device, track=self.track)
        normalise(vae, pool, MINI.latent_scale)
        return vae

    def text(self) -> Contrast:
        pool = self.pool()
        model = train_contrast(
            pool, self.runs / "contrast.pt", device=self.device, track=self.track
        )
        return spread_text(model, pool, self.runs / "text.pt", track=self.track)

    def unet(self) -> nn.Module:
        pool, text = self.pool(), self.text()
        latents = encode(self.vae(), pool, self.runs / "latents.npy", track=self.track)

        def words(prompts: list[str]) -> Tensor:
            with torch.no_grad():
                return text.words(prompts)[0]

        state = self.runs / "unet.pt"
        return train_unet(pool.scenes, latents, words, state, device=self.device, track=self.track)


def ship(shop: Workshop) -> list[Path]:
    """Trains what is not trained yet, and writes mini, the judge and the CLIP towers in fp16."""
    text = shop.text()
    tensors = to_ldm(shop.unet(), shop.vae(), text.text, family=MINI)
    _save(CHECKPOINT, tensors, {"format": "pt"})
    names = {"styles": json.dumps(ALL_STYLES), "objects": json.dumps(OBJECTS)}
    _save(JUDGE_FILE, shop.judge().state_dict(), {"format": "pt", **names})
    towers = {f"tower.{name}": t for name, t in text.tower.state_dict().items()}
    towers["text_projection.weight"] = text.text_projection.weight
    _save(CLIP_FILE, towers, {"format": "pt"})
    return [CHECKPOINT, JUDGE_FILE, CLIP_FILE]


def _save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    halves = {name: t.detach().cpu().half().contiguous() for name, t in tensors.items()}
    specs = [Spec(name, "F16", tuple(t.shape)) for name, t in halves.items()]
    data = (t.numpy() for t in halves.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, specs, data, metadata, force=True)
