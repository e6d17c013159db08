"""Block-weighted merging: one factor for each block of the UNet.

The 26 blocks of checkpoint mergers: BASE, IN00 to IN11, M00, OUT00 to OUT11 (SDXL: BASE, IN00 to
IN08, M00, OUT00 to OUT08). BASE is all that is in no numbered block: text encoders, VAE, time
embedding, the UNet's last convolution. (Other tools disagree there: `meh` counts the time embedding
to IN00 and the last convolution to OUT11; some lists for SDXL are shifted by one.)

The factor multiplies what is added to the base: θ = θ₀ + scale · factor · τ. With `linear` and one
edit that is the block-weighted sum (1 - α) A + α B.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ckptedit.errors import BadParam, UnknownName
from ckptedit.families.roles import block_role

NUMBERED = re.compile(r"IN\d\d|M00|OUT\d\d")
NAMES = (
    "BASE",
    *(f"IN{i:02d}" for i in range(12)),
    "M00",
    *(f"OUT{i:02d}" for i in range(12)),
)


def block(name: str) -> str:
    """The block that a tensor belongs to, one of NAMES (a deeper UNet has more)."""
    role = block_role(name)
    return role.block if NUMBERED.fullmatch(role.block) else "BASE"


def parse_blocks(texts: Sequence[str]) -> dict[str, float]:
    """["IN*=0.5", "M00=1"] -> {"IN00": 0.5, ..., "M00": 1.0}; a later one overrides.

    One text of 26 numbers separated by commas gives all, in the order of NAMES.
    Raises BadParam if one cannot be read, UnknownName if it names no block.
    """
    if len(texts) == 1 and "=" not in texts[0]:
        values = texts[0].split(",")
        if len(values) != len(NAMES):
            raise BadParam(f"{len(NAMES)} block factors are needed ({', '.join(NAMES)}), "
                           f"got {len(values)}")  # fmt: skip
        return {name: _number(value) for name, value in zip(NAMES, values, strict=True)}
    factors: dict[str, float] = {}
    for text in texts:
        pattern, equals, value = text.partition("=")
        if not equals:
            raise BadParam(f"{text!r} is not of the form BLOCK=factor")
        chosen = [name for name in NAMES if fnmatchcase(name, pattern)]
        if not chosen:
            raise UnknownName(f"no block is called {pattern!r}; there are: {', '.join(NAMES)}")
        factors.update(dict.fromkeys(chosen, _number(value)))
    return factors


def factor(factors: Mapping[str, float], name: str) -> float:
    """The factor of a tensor's block; 1 if none was given."""
    return factors.get(block(name), 1.0) if factors else 1.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadParam(f"{text!r} is not a number") from None
