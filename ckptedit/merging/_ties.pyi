from ckptedit.merging.stack import Array

def merge(
    deltas: Array,
    out: Array,
    start: int,
    edits: list[tuple[int, int, float, float, float]],
    rules: tuple[bool, int],
    /,
) -> int: ...
