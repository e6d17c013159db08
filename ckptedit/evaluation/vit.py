"""A vision transformer under timm's names, as far as a classifier of pictures needs one.

Dosovitskiy et al., ICLR 2021, https://arxiv.org/abs/2010.11929; timm's vit_large_patch16_224 and
its smaller kin: norms before attention and MLP, a class token, GELU, heads of 64. timm itself needs
torchvision, which breaks an installation of torch for processors.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint

HEAD = 64  # numbers of an attention head, in all of these models
NORM = 1e-6


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        split = self.qkv(x).view(n, length, 3, width // HEAD, HEAD)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each [n, heads, L, HEAD]
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, width))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM)
        self.attn = Attention(width)
        self.norm2 = nn.LayerNorm(width, eps=NORM)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """forward: pictures [n, 3, size, size], as `as_input` makes them -> logits [n, classes]"""

    def __init__(
        self, *, classes: int, width: int, depth: int, hidden: int, patch: int, size: int
    ) -> None:
        super().__init__()
        self.size = size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.patch_embed = Patches(width, patch)
        self.blocks = nn.Sequential(*[Block(width, hidden) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=NORM)
        self.head = nn.Linear(width, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embed(pictures)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def shape_of(checkpoint: Checkpoint, prefix: str = "") -> dict[str, int]:
    """The arguments of `ViT` that a file's tensors are of. prefix: before its names

    Raises BadParam if they are of no vision transformer.
    """
    try:
        classes, width = checkpoint[f"{prefix}head.weight"].shape
        patch = checkpoint[f"{prefix}patch_embed.proj.weight"].shape[-1]
        side = (checkpoint[f"{prefix}pos_embed"].shape[1] - 1) ** 0.5
        hidden = checkpoint[f"{prefix}blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, IndexError, ValueError):
        raise BadParam(
            f"{checkpoint.label} is no classifier that is known here: a vision transformer under "
            "timm's names (patch_embed, blocks, head)"
        ) from None
    depth = len({name.removeprefix(prefix).split(".")[1] for name in checkpoint
                 if name.startswith(f"{prefix}blocks.")})  # fmt: skip
    if width % HEAD or side != int(side):
        raise BadParam(f"{checkpoint.label}: no vision transformer of {width} in heads of {HEAD}")
    return {"classes": classes, "width": width, "depth": depth, "hidden": hidden, "patch": patch,
            "size": int(side) * patch}  # fmt: skip


def load_vit(checkpoint: Checkpoint, prefix: str = "") -> ViT:
    """The network with a file's weights, all of them, float32, in evaluation mode."""
    with torch.device("meta"):
        vit = ViT(**shape_of(checkpoint, prefix))
    state = {
        name.removeprefix(prefix): checkpoint.tensor(name).float()
        for name in checkpoint
        if name.startswith(prefix)
    }
    try:
        vit.load_state_dict(state, assign=True)
    except RuntimeError as error:
        what = " ".join(str(error).split("\n\t", 1)[-1].split())
        raise BadParam(f"{checkpoint.label} is no classifier that is known here: {what}") from None
    return vit.eval().requires_grad_(False)


def as_input(pictures: np.ndarray, size: int) -> Tensor:
    """uint8 [n, h, w, 3] -> [n, 3, size, size] in -1..1: squeezed to a square, bilinear, as
    torchvision's Resize((size, size)) does it to a PIL image, mean and deviation 0.5."""
    squeezed = [
        np.asarray(Image.fromarray(each).resize((size, size), Image.Resampling.BILINEAR))
        for each in pictures
    ]
    return torch.from_numpy(np.stack(squeezed)).permute(0, 3, 1, 2).float() / 127.5 - 1
