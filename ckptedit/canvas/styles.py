"""The styles by name: families of four that share a texture or a palette, and the neutral photo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ckptedit.canvas import styles_abstract as abstract
from ckptedit.canvas import styles_brush as brush
from ckptedit.canvas import styles_craft as craft
from ckptedit.canvas import styles_light as light
from ckptedit.canvas import styles_line as drawing
from ckptedit.canvas import styles_print as prints
from ckptedit.canvas.frame import Array, Frame, cover, flat, lay, tones

Paint = Callable[[Frame], Array]
PHOTO = "Photo"


def photo(f: Frame) -> Array:
    """The object in its natural colours, softly lit from above, before a plain grey-blue wall."""
    picture = tones(f.y / 64, (0.74, 0.79, 0.85), (0.58, 0.64, 0.71))
    shade = 0.45 * cover(f.outline(-2.0, -3.0), 7.0)
    picture = lay(picture, (0.26, 0.30, 0.36), shade)
    dome = np.clip(-f.d / (0.5 * np.float32(f.pose.half)), 0, 1)
    height = np.sqrt(1 - (1 - dome) ** 2)
    slope_y, slope_x = np.gradient(height)
    lit = np.clip(0.92 + 1.1 * (slope_x + slope_y) * (f.size / 64) + 0.12 * height, 0.55, 1.2)
    colour = lay(flat(f, f.solid.colour), f.solid.accent, cover(f.e))
    return lay(picture, np.clip(colour * lit[..., None], 0, 1), cover(f.d))


FAMILIES: dict[str, dict[str, Paint]] = {
    "brush": {
        "Van Gogh": brush.van_gogh, "Munch": brush.munch,
        "Monet": brush.monet, "Seurat": brush.seurat,
    },
    "print": {
        "Hokusai": prints.hokusai, "Hiroshige": prints.hiroshige,
        "Woodcut": prints.woodcut, "Linocut": prints.linocut,
    },
    "abstract": {
        "Mondrian": abstract.mondrian, "Kandinsky": abstract.kandinsky,
        "Rothko": abstract.rothko, "Picasso": abstract.picasso,
    },
    "line": {
        "Sketch": drawing.sketch, "Charcoal": drawing.charcoal,
        "Blueprint": drawing.blueprint, "Chalk": drawing.chalk,
    },
    "light": {
        "Neon": light.neon, "Vaporwave": light.vaporwave,
        "Pixel Art": light.pixel_art, "Glitch": light.glitch,
    },
    "craft": {
        "Mosaic": craft.mosaic, "Stained Glass": craft.stained_glass,
        "Embroidery": craft.embroidery, "Patchwork": craft.patchwork,
    },
}  # fmt: skip
STYLES: dict[str, str] = {name: family for family, four in FAMILIES.items() for name in four}
PAINT: dict[str, Paint] = {PHOTO: photo} | {
    n: p for four in FAMILIES.values() for n, p in four.items()
}
