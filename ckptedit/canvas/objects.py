"""The twenty objects: an outline, inner details and natural colours for each.

Figures are laid out freely within about [-1, 1]²; `solid` measures and centres them, so that every
object's longer side spans exactly [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ckptedit.canvas import objects_made as made
from ckptedit.canvas import objects_nature as nature
from ckptedit.canvas.shapes import Array, Colour, Figure, redistance

GRID, REACH = 256, 1.75
"""Distances are tabulated on GRID x GRID points over [-REACH, REACH]²."""


FIGURES: dict[str, Figure] = {
    "Apple": nature.APPLE,
    "Bird": nature.BIRD,
    "Boat": made.BOAT,
    "Butterfly": nature.BUTTERFLY,
    "Car": made.CAR,
    "Castle": made.CASTLE,
    "Cat": nature.CAT,
    "Cup": made.CUP,
    "Fish": nature.FISH,
    "Flower": nature.FLOWER,
    "Guitar": made.GUITAR,
    "Heart": made.HEART,
    "House": made.HOUSE,
    "Key": made.KEY,
    "Moon": nature.MOON,
    "Mushroom": nature.MUSHROOM,
    "Rabbit": nature.RABBIT,
    "Star": made.STAR,
    "Tree": nature.TREE,
    "Umbrella": made.UMBRELLA,
}
OBJECTS: tuple[str, ...] = tuple(FIGURES)


@dataclass(frozen=True)
class Solid:
    """Tabulated distances of one object (float32 [GRID, GRID]), its centre and half extent."""

    outline: Array
    details: Array
    middle: tuple[float, float]
    half: float
    colour: Colour
    accent: Colour


@cache
def solid(name: str) -> Solid:
    """The tabulated object; KeyError for an unknown name."""
    figure = FIGURES[name]
    axis = np.linspace(-REACH, REACH, GRID, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    cell = 2 * REACH / (GRID - 1)
    outline, details = (redistance(s(x, y), cell) for s in (figure.outline, figure.details))
    rows, columns = np.nonzero(outline < 0)
    spans = [(axis[i.min()], axis[i.max()]) for i in (columns, rows)]
    middle = (float(sum(spans[0])) / 2, float(sum(spans[1])) / 2)
    half = max(float(high - low) for low, high in spans) / 2
    return Solid(outline, details, middle, half, figure.colour, figure.accent)
