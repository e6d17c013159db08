from ckptedit.diff.norms import Bytes

def measure(
    old: Bytes, new: Bytes, dtype: str, /
) -> tuple[int, float, float, float, float, float, float] | None: ...
