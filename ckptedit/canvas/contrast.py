"""Trains mini's text encoder, contrastively against an image tower, as CLIP was.

Radford et al., CLIP, ICML 2021, https://arxiv.org/abs/2103.00020. Two departures. Which caption is
true of which picture is known exactly, so a row's target is spread over all true matches. And a
penalty on concentration keeps the token embeddings from collapsing into a few directions, which
would leave an edit of one concept no room beside the others.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import log_softmax, normalize
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ckptedit.canvas.captions import Caption, caption, truth
from ckptedit.canvas.draw import PHOTO, Scene
from ckptedit.canvas.loop import train
from ckptedit.canvas.parts import FAMILY_OF
from ckptedit.canvas.pool import Pool, as_input
from ckptedit.evaluation.judge import Judge
from ckptedit.families.mini import FOLDER
from ckptedit.progress import Track, silent

WIDTH = 128  # of the space that captions and pictures share
KINSHIP = 0.04  # people mix up styles of one family; so do captions
TAIL = -8  # from here on, most captions have ended


class Contrast(nn.Module):
    """The text encoder and the image tower, each with its projection.

    words:    prompts -> hidden states [n, L, d] and caption vectors [n, WIDTH] of unit length
    pictures: [n, 3, 64, 64] in [-1, 1] -> picture vectors [n, WIDTH] of unit length
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        settings = json.loads((folder / "text_encoder" / "config.json").read_text())
        self.text = CLIPTextModel(CLIPTextConfig(**settings))
        embeddings = getattr(self.text, "text_model", self.text).embeddings
        nn.init.normal_(embeddings.token_embedding.weight, std=0.15)
        nn.init.normal_(embeddings.position_embedding.weight, std=0.05)
        self.text_projection = nn.Linear(settings["hidden_size"], WIDTH, bias=False)
        self.tower = Judge(WIDTH, WIDTH)
        self.scale = nn.Parameter(torch.tensor(np.log(14.0), dtype=torch.float32))

    def words(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        tokens = self.tokenizer(
            prompts, padding="max_length", truncation=True, return_tensors="pt"
        ).to(self.scale.device)
        out = self.text(input_ids=tokens.input_ids)
        return out.last_hidden_state, normalize(self.text_projection(out.pooler_output), dim=1)

    def pictures(self, pictures: Tensor) -> Tensor:
        texture, layout = self.tower(pictures)
        return normalize(texture + layout, dim=1)


def concentration(tokens: Tensor) -> Tensor:
    """log(1 / participation ratio) of the second moment of tokens [..., d]: 0 if all are parallel,
    -log d if they fill all directions alike. [] scalar."""
    rows = tokens.flatten(0, -2)
    moment = rows.T @ rows  # [d, d]
    return (moment.square().sum() / moment.trace().square()).log()


def contrastive(text: Tensor, pictures: Tensor, match: Tensor, scale: Tensor) -> Tensor:
    """The symmetric loss of CLIP with several true matches to a row.

    text [n, e], pictures [m, e], unit rows; match: 1 where true, [n, m]; scale: -log temperature
    """
    logits = scale.clamp(max=4.6).exp() * text @ pictures.T  # [n, m]
    by_text = -(log_softmax(logits, 1) * match).sum(1) / match.sum(1).clamp(min=1)
    by_picture = -(log_softmax(logits, 0) * match).sum(0) / match.sum(0).clamp(min=1)
    return by_text.mean() + by_picture.mean()


def train_contrast(
    pool: Pool, state: Path, *, steps: int = 1200, device: str = "cpu", track: Track = silent
) -> Contrast:
    """Both towers together: which captions go with which pictures."""
    torch.manual_seed(4)
    model = Contrast(FOLDER).to(device)

    def loss_at(rng: Generator) -> Tensor:
        pictures, scenes = pool.batch(rng, 96)
        said, match = describe(scenes, rng)
        hidden, text = model.words(said)
        loss = contrastive(text, model.pictures(pictures.to(device)), match.to(device), model.scale)
        return loss + 0.1 * concentration(hidden[:, TAIL:])

    train(model, loss_at, state, steps=steps, lr=1e-3, track=track)
    return model.eval().requires_grad_(False)


def spread_text(
    model: Contrast,
    pool: Pool,
    state: Path,
    *,
    steps: int = 450,
    spread: float = 0.7,
    track: Track = silent,
) -> Contrast:
    """The text tower alone, towards embeddings that fill many directions.

    Locked-image tuning (Zhai et al., LiT, CVPR 2022, https://arxiv.org/abs/2111.07991) plus
    `spread` times the concentration of what prompts end in, and the share of the energy there that
    depends on the position alone.
    """
    model.tower.requires_grad_(False).eval()
    device = model.scale.device
    chosen = range(0, len(pool), max(1, len(pool) // 10_000))
    scenes = [pool.scenes[i] for i in chosen]
    with torch.no_grad():
        parts = [pool.pictures[i : i + 100 * chosen.step : chosen.step] for i in chosen[::100]]
        pictures = torch.cat([model.pictures(as_input(part).to(device)) for part in parts])

    def loss_at(rng: Generator) -> Tensor:
        rows = torch.randint(len(scenes), (96,), generator=rng)
        said, match = describe([scenes[i] for i in rows.tolist()], rng)
        hidden, text = model.words(said)
        loss = contrastive(text, pictures[rows], match.to(device), model.scale)
        content = hidden[:, TAIL:].mean(1, keepdim=True)  # [n, 1, d]
        wobble = (hidden[:, TAIL:] - content).square().sum() / hidden[:, TAIL:].square().sum()
        return loss + spread * concentration(content) + wobble

    train(model, loss_at, state, steps=steps, lr=1e-3, track=track)
    return model.eval().requires_grad_(False)


def describe(scenes: list[Scene], rng: Generator) -> tuple[list[str], Tensor]:
    """A caption for each of n scenes, and how well each fits each: float32 [n, n].

    1 where it is true, KINSHIP where it would be if styles of one family were the same, else 0.
    """
    words = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng)))
    families = [FAMILY_OF[s.style] for s in scenes]
    said = [caption(s, f, words) for s, f in zip(scenes, families, strict=True)]
    exact = truth(said, scenes, families)
    related = truth([of_family(c) for c in said], scenes, families)
    match = np.maximum(exact, KINSHIP * related).astype(np.float32)
    return [c.text for c in said], torch.from_numpy(match)


def of_family(said: Caption) -> Caption:
    """The caption with the style's family in place of the style; Photo has none but itself."""
    if said.style is None or said.style == PHOTO:
        return said
    return replace(said, style=None, family=FAMILY_OF[said.style])
