"""What a probe is, and what it finds. Needs no torch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ckptedit.progress import Track

if TYPE_CHECKING:
    from ckptedit.audits.subject import Subject

Row = Mapping[str, Any]  # texts, numbers, None and truths


@dataclass(frozen=True)
class Bound:
    """A limit that can be set on a figure of a probe: at most, or at least, so much.

    share: whether the figure is one, so that a limit above 1 would be none
    """

    figure: str
    most: bool = True
    share: bool = False

    def keeps(self, value: float | None, limit: float) -> bool:
        """Whether a figure is within a limit; what was not measured is within none."""
        if value is None or value != value:
            return False
        return value <= limit if self.most else value >= limit


@dataclass(frozen=True)
class Finding:
    """What a probe found.

    left:    how much of the concept comes back by it, 0 nothing, 1 all; None: it is not about that
    says:    the same in a sentence
    figures: by stable names; rows: one for each thing tried, all with the same names, worst first
    unread:  what could not be tried, and why
    """

    left: float | None
    says: str
    figures: Mapping[str, Any]
    rows: Sequence[Row] = ()
    unread: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Probe(ABC):
    """One question to an edited checkpoint. Its keyword-only parameters are what a user can set.

    by:     who could bring the concept back so: "words", "embeddings", "pictures", "training", or
            "" for a probe that is about what else the edit did
    runs:   whether it needs a UNet that runs here; judged: whether a judge of pictures
    bounds: the limits that may be set, by the names of their options
    """

    by: ClassVar[str] = ""
    runs: ClassVar[bool] = False
    judged: ClassVar[bool] = False
    bounds: ClassVar[Mapping[str, Bound]] = {}

    @abstractmethod
    def run(self, subject: "Subject", track: Track) -> Finding:
        """Asks it. Raises BadParam where it has no answer."""
