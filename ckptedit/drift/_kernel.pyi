Place = tuple[int, int]

def measure(
    old: Place, new: Place, nbytes: int, dtype: str, /
) -> tuple[int, float, float, float, float, float, float] | None: ...
