"""What is asked for: concepts, their kinds and neighbours, the sentences that hold them.

Names, lexicon, lists and sentences need no torch; neighbors, request and prompts do.
"""

from ckptedit.concepts.lexicon import Lexicon, general, lexicon_of
from ckptedit.concepts.names import normal, same_name
from ckptedit.concepts.templates import (
    HELD_OUT_FRAMES,
    KINDS,
    TRAIN_FRAMES,
    fill,
    prompts_for,
)

__all__ = [
    "HELD_OUT_FRAMES",
    "KINDS",
    "TRAIN_FRAMES",
    "Lexicon",
    "fill",
    "general",
    "lexicon_of",
    "normal",
    "prompts_for",
    "same_name",
]
