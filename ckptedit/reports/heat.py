"""Where the weights moved, request by request: relative drift by block and role."""

from collections.abc import Mapping
from dataclasses import dataclass

from ckptedit.drift.plot import role_order, row_order
from ckptedit.drift.run import diff
from ckptedit.files import Checkpoint
from ckptedit.progress import Track, silent


@dataclass(frozen=True)
class Heat:
    """cells: (block, role, request) -> ‖ΔW‖ / ‖W‖ from the base; infinite where W is all zeros

    blocks: "unet IN04", in the model's order; roles: "k", "v", ...; of both those that moved
    total:  request -> of all tensors together
    """

    blocks: tuple[str, ...]
    roles: tuple[str, ...]
    requests: tuple[int, ...]
    cells: Mapping[tuple[str, str, int], float]
    total: Mapping[int, float]


def heat_of(base: Checkpoint, files: Mapping[int, Checkpoint], *, track: Track = silent) -> Heat:
    """Compares each checkpoint with the base. files: request -> checkpoint"""
    cells: dict[tuple[tuple[str, str], str, int], float] = {}
    total: dict[int, float] = {}
    for number, file in sorted(files.items()):
        found = diff(base, file, track=track).comparison
        total[number] = found.total.figures.relative
        for group in found.grouped(lambda t: (t.component, t.block, t.role)):
            component, block, role = group.key
            cells[(component, block), role, number] = group.figures.relative
    moved = [key for key, value in cells.items() if value]
    rows = sorted({row for row, _, _ in moved}, key=row_order)
    roles = sorted({role for _, role, _ in moved}, key=role_order)
    named = {row: " ".join(filter(None, row)) for row in rows}
    return Heat(
        tuple(named.values()),
        tuple(roles),
        tuple(sorted(files)),
        {
            (named[row], role, number): value
            for (row, role, number), value in cells.items()
            if row in named and role in roles
        },
        total,
    )
