"""What a merge tells when it is written."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from ckptedit.deltas.fit import averaged
from ckptedit.files import Kept, Written
from ckptedit.merging.copying import note_on
from ckptedit.merging.recipe import Recipe
from ckptedit.merging.strays import notes_on
from ckptedit.merging.stream import Stream


@dataclass(frozen=True)
class Merged:
    """What a merge wrote.

    sha256:  of the tensor data
    options: the recipe, resolved
    tensors: how many were merged, copied from the base, and taken over from an edit
    drift:   l2 of what was added, and relative to the base's weights in the merged tensors
    edits:   for each its sha256, weight, tensors touched, l2 of its task vector, and the cosine of
             that with what was added
    counts:  what the method counted (ties: entries in which a task vector was outvoted)
    nonfinite: tensors that were copied with NaN or Inf in them
    notes:   what the user should hear of, one line each
    """

    path: Path
    sha256: str
    options: dict[str, Any]
    tensors: dict[str, int]
    drift: dict[str, float]
    edits: list[dict[str, Any]]
    counts: dict[str, int]
    nonfinite: list[str]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The figures under their stable names, for JSON."""
        fields = asdict(self)
        return {"output": str(fields.pop("path")), **fields.pop("options"), **fields}


def report(
    stream: Stream,
    recipe: Recipe,
    written: Written,
    digests: Sequence[str],
    strays: Sequence[Kept],
) -> Merged:
    """The figures of a merge that has been written. digests: of the base and of each edit"""
    inputs, products = stream.inputs, stream.products
    lengths = [sqrt(products[i, i]) for i in range(len(products))]
    edits = [
        {
            "name": edit.label,
            "sha256": digest,
            "weight": weight,
            "tensors": touched,
            "l2": length,
            "cosine": products[i, -1] / (length * lengths[-1]) if length * lengths[-1] else None,
        }
        for i, (edit, digest, weight, touched, length) in enumerate(
            zip(inputs.edits, digests[1:], inputs.weights, stream.touched, lengths, strict=False)
        )
    ]
    relative = lengths[-1] / sqrt(stream.base_square) if stream.base_square else 0.0
    merged, names = len(stream.merged), [*inputs.base, *(stray.name for stray in strays)]
    nonfinite = stream.copying.nonfinite(names)
    return Merged(
        path=written.path,
        sha256=written.sha256,
        options=recipe.options(len(edits)),
        tensors={"merged": merged, "copied": len(inputs.base) - merged, "added": len(strays)},
        drift={"l2": lengths[-1], "relative": relative},
        edits=edits,
        counts=dict(sorted(inputs.tally.counts.items())),
        nonfinite=nonfinite,
        notes=[
            *notes_on(inputs.base, inputs.edits, recipe.extra),
            *averaged(inputs.base, stream.merged),
            *note_on(nonfinite, len(names)),
            *saturation(inputs.tally.counts["saturated"]),
        ],
    )


def saturation(count: int) -> list[str]:
    """What the user should hear of values that did not fit: one line, or none."""
    return [f"{count} values went beyond their dtype: they are its largest now"] if count else []
