"""Contact sheets: a labelled grid of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP = 3


def contact_sheet(
    pictures: NDArray[np.uint8], rows: Sequence[str], columns: Sequence[str], *, zoom: int = 1
) -> Image.Image:
    """Pictures [rows, columns, h, w, 3] in a grid, labelled at the left and on top.

    zoom: pixels of the sheet to a pixel of a picture. ValueError if labels and grid disagree.
    """
    if pictures.shape[:2] != (len(rows), len(columns)):
        raise ValueError(
            f"{pictures.shape[:2]} pictures for {len(rows)} rows and {len(columns)} columns"
        )
    h, w = pictures.shape[2] * zoom, pictures.shape[3] * zoom
    font = ImageFont.load_default(12)
    left = GAP + 6 + int(max((font.getlength(label) for label in rows), default=0))
    top = 20
    sheet = Image.new(
        "RGB", (left + (w + GAP) * len(columns), top + (h + GAP) * len(rows)), "white"
    )
    pen = ImageDraw.Draw(sheet)
    for c, label in enumerate(columns):
        pen.text((left + c * (w + GAP) + w / 2, top / 2), label, "black", font, "mm")
    for r, label in enumerate(rows):
        pen.text((left - 6, top + r * (h + GAP) + h / 2), label, "black", font, "rm")
        for c in range(len(columns)):
            picture = Image.fromarray(pictures[r, c]).resize((w, h), Image.Resampling.NEAREST)
            sheet.paste(picture, (left + c * (w + GAP), top + r * (h + GAP)))
    return sheet
