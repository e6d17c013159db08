"""Random numbers that belong to entries, not to the order in which they are drawn.

Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011: Philox turns (key, counter)
into random bits. The key comes from seed, tensor name and edit, the counter from the entry's index,
so that any stretch of any tensor can be drawn by any thread, in any order, with the same result.
"""

from hashlib import sha256

import numpy as np

from ckptedit.merging.stack import Array

WORDS = 8  # of 32 bits, that one counter value yields


def draw(seed: int, name: str, edit: int, start: int, count: int) -> Array:
    """Entries start to start + count of the stream that belongs to one task vector of one tensor:
    [count] uint32, uniform."""
    digest = sha256(f"{seed}\0{edit}\0{name}".encode()).digest()
    key = np.frombuffer(digest[:16], "<u8")
    first, skip = divmod(start, WORDS)
    blocks = -(-(skip + count) // WORDS)
    stream = np.random.Philox(counter=first, key=key).random_raw(blocks * (WORDS // 2))
    return stream.astype("<u8", copy=False).view("<u4")[skip : skip + count]


def happens(words: Array, probability: float | Array) -> Array:
    """[m] uint32, and one probability or [m] of them in [0, 1] -> [m] bool"""
    return words < np.round(np.asarray(probability, np.float64) * 2**32)
