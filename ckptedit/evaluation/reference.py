"""A folder of pictures that others made, to features."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ckptedit.errors import BadParam
from ckptedit.evaluation.fidelity import packed
from ckptedit.evaluation.towers import Towers
from ckptedit.files import escape
from ckptedit.progress import Track

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def require_comparable(folder: Path, towers: Towers | None) -> None:
    """Raises BadParam unless there are pictures, and something to compare them by."""
    if towers is None:
        raise BadParam(
            "--reference: pictures are compared by the features of a CLIP model: --clip DIR"
        )
    if not _files(folder):
        raise BadParam(f"there are no pictures ({', '.join(ENDINGS)}) in {escape(folder)}")


def read_features(folder: Path, towers: Towers, device: torch.device, track: Track) -> list[str]:
    """Packed features, in the order of the paths."""
    rows = []
    for path in track(_files(folder), "reading pictures"):
        try:
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise BadParam(f"{escape(path)} is no picture ({type(error).__name__})") from None
        if towers.size is not None:
            picture = picture.resize((towers.size, towers.size), Image.Resampling.BICUBIC)
        rows += packed(towers.embed(np.array(picture)[None], device).numpy())
    return rows


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
