"""Sizes of files as people write them: 5GB, 500MB, 2GiB, or bytes."""

import re

import typer

UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def as_bytes(text: str) -> int:
    """The number of bytes that a text stands for. Raises typer.BadParameter if it is no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    unit = UNITS.get(match[2], UNITS.get(f"{match[2]}b")) if match else None
    if not match or unit is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 5GB, 500MB or 2GiB")
    return int(float(match[1]) * unit)
