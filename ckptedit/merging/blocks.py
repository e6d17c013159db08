"""Block-weighted merging: one factor for each block of the UNet.

The 26 blocks of checkpoint mergers: BASE, IN00 to IN11, M00, OUT00 to OUT11 (SDXL: BASE, IN00 to
IN08, M00, OUT00 to OUT08). BASE is all that is in no numbered block: text encoders, VAE, time
embedding, the UNet's last convolution. (Other tools disagree there: `meh` counts the time embedding
to IN00 and the last convolution to OUT11; some lists for SDXL are shifted by one.)

The factor multiplies what is added to the base: θ = θ₀ + scale · factor · τ. With `linear` and one
edit that is the block-weighted sum (1 - α) A + α B.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from ckptedit import families
from ckptedit.errors import BadParam, UnknownName
from ckptedit.families.roles import block_role

NUMBERED = re.compile(r"IN\d\d|M00|OUT\d\d")


def names(numbered: int) -> tuple[str, ...]:
    """The blocks in order, of a UNet with so many on either side."""
    inward, outward = (tuple(f"{way}{i:02d}" for i in range(numbered)) for way in ("IN", "OUT"))
    return ("BASE", *inward, "M00", *outward)


NAMES, SDXL = (names(f.counted().numbered) for f in (families.SD1, families.SDXL))


def block(name: str) -> str:
    """The block that a tensor belongs to, one of NAMES (a deeper UNet has more)."""
    role = block_role(name)
    return role.block if NUMBERED.fullmatch(role.block) else "BASE"


def parse_blocks(texts: Sequence[str]) -> dict[str, float]:
    """["IN*=0.5", "M00=1"] -> {"IN*": 0.5, "M00": 1.0}, in their order.

    One text of 26 numbers separated by commas gives all, in the order of NAMES; 20 those of SDXL.
    Raises BadParam if one cannot be read, UnknownName if it fits no name of a block.
    """
    if len(texts) == 1 and "=" not in texts[0]:
        values = texts[0].split(",")
        for all_names in (NAMES, SDXL):
            if len(values) == len(all_names):
                return {n: _number(value) for n, value in zip(all_names, values, strict=True)}
        raise BadParam(f"{len(NAMES)} block factors are needed ({', '.join(NAMES)}), or "
                       f"{len(SDXL)} for SDXL, got {len(values)}")  # fmt: skip
    patterns: dict[str, float] = {}
    for text in texts:
        pattern, equals, value = text.partition("=")
        if not equals:
            raise BadParam(f"{text!r} is not of the form BLOCK=factor")
        patterns.pop(pattern, None)  # what is said again counts from there on
        patterns[pattern] = _number(value)
    expand(patterns)
    return patterns


def expand(patterns: Mapping[str, float]) -> dict[str, float]:
    """{"IN*": 0.5, "IN03": 0} -> {"IN00": 0.5, ..., "IN03": 0.0, ...}; a later one overrides.

    Raises UnknownName if a pattern fits none of NAMES.
    """
    factors: dict[str, float] = {}
    for pattern, value in patterns.items():
        chosen = [name for name in NAMES if fnmatchcase(name, pattern)]
        if not chosen:
            raise UnknownName(f"no block is called {pattern!r}; there are: {', '.join(NAMES)}")
        factors.update(dict.fromkeys(chosen, value))
    return factors


def block_factors(patterns: Mapping[str, float], tensors: Iterable[str]) -> dict[str, float]:
    """Tensor name -> the factor of its block, for all tensors of a checkpoint; 1 if none is given.

    Raises UnknownName if a pattern fits none of the checkpoint's blocks, or if 20 factors are given
    for a checkpoint that has more blocks. 26 factors fit every checkpoint.
    """
    if not patterns:
        return dict.fromkeys(tensors, 1.0)
    of = {name: block(name) for name in tensors}
    there = sorted(set(of.values()))
    if tuple(patterns) == SDXL and (more := [name for name in there if name not in SDXL]):
        raise UnknownName(f"{len(SDXL)} block factors are those of SDXL, but the base has "
                          f"{', '.join(more)} too: give {len(NAMES)}")  # fmt: skip
    for pattern in patterns if tuple(patterns) not in (NAMES, SDXL) else ():
        if not any(fnmatchcase(name, pattern) for name in there):
            raise UnknownName(f"the base has no block {pattern!r}; it has {', '.join(there)}")
    factors = expand(patterns)
    return {name: factors.get(block, 1.0) for name, block in of.items()}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadParam(f"{text!r} is not a number") from None
