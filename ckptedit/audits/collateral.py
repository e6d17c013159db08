"""What else an edit moved: of all words that the text encoder knows, those whose keys and values
went farthest, beside the target's own.

The figures are those of `diff --words` (`ckptedit.drift.words`); names of the target are left out.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Subject
from ckptedit.concepts.neighbors import without
from ckptedit.drift.words import moved_words
from ckptedit.params import Within
from ckptedit.progress import Track

SPARE = 16  # words that may name the target, and are passed over
EVERY = 10**9  # words: all of them, however far they moved


class Collateral(Probe):
    """The words moved most, over the whole vocabulary and lexicon."""

    bounds: ClassVar[Mapping[str, Bound]] = {"max_collateral": Bound("farthest")}

    def __init__(
        self, *, words: Annotated[int, Within("[1, inf)"), "how many of them are listed"] = 10
    ) -> None:
        self.words = words

    def run(self, subject: Subject, track: Track) -> Finding:
        found = moved_words(
            subject.comparison, subject.original, subject.checkpoint, subject.family,
            count=EVERY, reading=subject.reading, track=track,
        )  # fmt: skip
        own = [word for word in found.farthest if word.word in subject.names]
        ranked = [word.word for word in found.farthest[: self.words + SPARE]]
        others = set(without(subject.encoder, ranked, subject.names))
        rows = [
            {"word": each.word, "moved": each.moved, "keys": each.keys, "values": each.values}
            for each in found.farthest
            if each.word in others
        ][: self.words]
        target = max((word.moved for word in own), default=None)
        first = rows[0] if rows else {"word": "", "moved": 0.0}
        figures = {
            "farthest": first["moved"], "word": first["word"], "median": found.median,
            "target": target, "words": found.count,
        }  # fmt: skip
        beside = "" if target is None else f"; the target itself {target:.0%}"
        says = (
            f"{first['word']!r} moved most, by {first['moved']:.0%} of its keys and values, half "
            f"of {found.count} words by less than {found.median:.1%}{beside}"
        )
        return Finding(None, says, figures, rows)
