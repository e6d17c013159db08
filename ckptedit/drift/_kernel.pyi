Place = tuple[int, int]

def measure(
    old: Place, new: Place, nbytes: int, dtype: str, lanes: int = 0, /
) -> tuple[int, float, float, float, float, float, float] | None: ...
