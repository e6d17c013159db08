"""What a strategy is: from the requests so far, and the newest checkpoint, to the next one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from ckptedit.concepts.targets import Target
from ckptedit.continual.options import gathered, keywords
from ckptedit.continual.requests import Asked, standing
from ckptedit.continual.verify import Verifier
from ckptedit.erasure.erase import erase
from ckptedit.erasure.job import Erasure
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint, write_edited
from ckptedit.progress import Track, silent


@dataclass(frozen=True)
class Work:
    """What all requests of a run share.

    options: keywords of `erase` for all requests, not yet resolved
    how:     keywords of `erase` that say with what it computes: device, threads, tokenizer, ...
    verifier: once the run has begun
    """

    base: Checkpoint
    entries: tuple[Asked, ...]
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)
    track: Track = silent
    verifier: Verifier | None = None

    def option(self, entry: Asked, name: str, otherwise: Any) -> Any:
        return entry.option(name, self.options.get(name, otherwise))

    def standing(self, number: int) -> list[Asked]:
        """What is asked for after so many requests."""
        return standing(self.entries[:number])

    def keywords(self, entry: Asked, tighter: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `erase` for one request; tighter: what a drift budget asks for in addition."""
        return keywords(gathered(self.options, entry.options, tighter))

    def targets(self, entry: Asked, names: Sequence[str]) -> list[Target]:
        kind, anchor = (self.option(entry, key, usual) for key, usual in USUAL.items())
        return [
            Target(name, kind, anchor, entry.concepts[0] if name in entry.aliases else "")
            for name in names
        ]


USUAL = {"kind": "auto", "anchor": ""}


@dataclass(frozen=True)
class Step:
    """What meeting a request came to: what was erased, if anything; more facts for its line."""

    made: Erasure | None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Strategy:
    """A way to meet requests.

    takes_back: whether a request can be withdrawn
    jointly:    whether all targets are erased at once, so that requests share method and options
    trained:    whether the method must be trained, or must not; None: either
    joins:      whether it merges, and takes the options of that
    anew:       whether each erasure starts from the original, so that what it reads can be listed
    remedy:     what to do about a target that comes back
    """

    takes_back: ClassVar[bool] = True
    jointly: ClassVar[bool] = False
    trained: ClassVar[bool | None] = None
    joins: ClassVar[bool] = False
    anew: ClassVar[bool] = True
    remedy: ClassVar[str] = "raise what holds it: -p of the method, or name another --anchor"

    def settings(self) -> dict[str, Any]:
        """What of it makes a run another one, as JSON."""
        return {}

    def check(self, work: Work) -> None:
        """Raises BadParam for what this strategy could not do, before anything dear."""
        for entry in work.entries:
            own = [name for name in entry.options if name not in ("kind", "anchor", "retain")]
            if self.jointly and own:
                raise BadParam(
                    f"{entry.where} has {own[0]} of its own, but all targets are erased at once; "
                    f"put it under [defaults], or take --strategy sequential"
                )
            if entry.withdraw and not self.takes_back:
                able = ", ".join(name for name, kind in each_strategy() if kind.takes_back)
                raise BadParam(
                    f"{entry.where} withdraws, and what was built upon a request cannot do "
                    f"without it; take another --strategy: {able}"
                )

    def step(
        self, work: Work, number: int, newest: Checkpoint, output: Path, tighter: Mapping[str, Any]
    ) -> Step:
        """Writes the checkpoint after a request.

        number: of the request; newest: the checkpoint after the one before, at first the base
        """
        raise NotImplementedError


def each_strategy() -> Iterator[tuple[str, type[Strategy]]]:
    from ckptedit.continual.strategies import STRATEGIES

    for name in STRATEGIES:
        yield name, cast(type[Strategy], STRATEGIES[name])


def erased_together(
    work: Work,
    entries: Sequence[Asked],
    start: Checkpoint,
    output: Path | None,
    tighter: Mapping[str, Any],
    *,
    delta: bool = False,
) -> Erasure:
    """Erases the targets of requests in one go, and writes `output`, if there is to be one,
    whatever is there.

    What a request retains is not refused when a later one erases it: it is not retained then.
    """
    *others, last = entries
    found = work.keywords(last, tighter)
    again = work.targets(last, last.aliases)
    for entry in others:
        again += work.targets(entry, entry.names)
    kept = [name for entry in others for name in entry.option("retain", [])]
    retain = last.option("retain", [])
    return erase(
        start,
        last.concepts,
        output,
        again=again,
        kept=[*work.options.get("retain", []), *kept],
        delta=delta,
        force=True,
        resume=True,
        track=unnumbered(work.track),
        **(found | {"retain": retain}),
        **work.how,
    )


def copied(base: Checkpoint, output: Path) -> None:
    """Writes the base as it is, where nothing is asked for any more."""
    write_edited(output, base, {}, metadata=base.metadata, force=True)


def unnumbered(track: Track) -> Track:
    """A track that is not told of the stages: they come again with every request."""

    def plain(items: Any, label: str, total: int | None = None, note: Any = None) -> Any:
        return track(items, label, total, note)

    return plain
