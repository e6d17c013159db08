"""What is asked for: concepts, their kinds and neighbours, the sentences that hold them.

Names, lexicon, lists and sentences need no torch; neighbors, request and prompts do.
"""

from ckptedit.concepts.lexicon import lexicon
from ckptedit.concepts.names import normal, same_name
from ckptedit.concepts.templates import (
    ANCHORS,
    HELD_OUT_FRAMES,
    KINDS,
    TRAIN_FRAMES,
    anchor_for,
    fill,
    prompts_for,
)

__all__ = [
    "ANCHORS",
    "HELD_OUT_FRAMES",
    "KINDS",
    "TRAIN_FRAMES",
    "anchor_for",
    "fill",
    "lexicon",
    "normal",
    "prompts_for",
    "same_name",
]
