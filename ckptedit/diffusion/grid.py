"""Pictures in rows and columns with readable labels, as one picture."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ckptedit.files.sinks import new_files

if TYPE_CHECKING:
    from PIL.Image import Image

CELL = 160  # pixels; smaller pictures are enlarged by a whole factor until they reach it
GAP, GROUP_GAP, MARGIN = 4, 16, 12
TEXT, LINE = 14, 19  # pixels: height of letters, distance of lines
PAPER, INK, PALE = (255, 255, 255), (20, 20, 20), (110, 110, 110)


def grid(
    pictures: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    group: int = 1,
) -> "Image":
    """Lays out pictures, each row under its label, labels of columns on top.

    pictures: [rows, columns, height, width, 3] uint8
    group:    columns that belong together; groups stand a little apart
    """
    from PIL import Image, ImageDraw

    factor = max(1, -(-CELL // pictures.shape[3]))
    cells = pictures.repeat(factor, axis=2).repeat(factor, axis=3)
    height, width = cells.shape[2:4]
    lefts = [MARGIN + i * (width + GAP) + i // group * GROUP_GAP for i in range(len(columns))]
    inside = lefts[-1] + width - MARGIN
    labels = [_wrapped(label, inside) for label in rows]
    heads = [_wrapped(label, width) for label in columns]
    top = MARGIN + max(map(len, heads)) * LINE + GAP
    tall = sum(len(label) * LINE + height + GROUP_GAP for label in labels)
    page = Image.new("RGB", (inside + 2 * MARGIN, top + tall), PAPER)
    draw = ImageDraw.Draw(page)
    for left, head in zip(lefts, heads, strict=True):
        _write(draw, left, MARGIN, head, PALE)
    for label, row in zip(labels, cells, strict=True):
        _write(draw, MARGIN, top, label, INK)
        top += len(label) * LINE
        for left, cell in zip(lefts, row, strict=True):
            page.paste(Image.fromarray(cell), (left, top))
        top += height + GROUP_GAP
    return page


def save_png(page: "Image", target: str | Path, *, force: bool = False) -> None:
    """Writes a picture as PNG, whole or not at all; "-" is stdout."""
    import sys

    buffer = BytesIO()
    page.save(buffer, format="PNG")
    if str(target) == "-":
        sys.stdout.buffer.write(buffer.getvalue())
        return
    path = Path(target)
    with new_files([(path, buffer.getbuffer().nbytes)], replace=force) as (file,):
        file.write(buffer.getbuffer())


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=TEXT)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines no wider than `width` pixels, broken between words, or inside one that is too long."""
    font = _font()
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _write(draw: Any, left: int, top: int, lines: Sequence[str], ink: tuple[int, int, int]) -> None:
    for i, line in enumerate(lines):
        draw.text((left, top + i * LINE), line, fill=ink, font=_font())
