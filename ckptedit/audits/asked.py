"""Which probes are asked, which of them can answer, and how their limits come out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar

from ckptedit.audits import PROBES, QUICK
from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Subject
from ckptedit.errors import BadCheckpoint, BadParam
from ckptedit.evaluation.world import world_for
from ckptedit.families.runnable import require_runnable
from ckptedit.files import Checkpoint
from ckptedit.params import typed

T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """How a limit came out. value: None where the probe has no such figure."""

    name: str
    probe: str
    figure: str
    limit: float
    value: float | None
    kept: bool


def bounds() -> dict[str, tuple[str, Bound]]:
    """Every limit that may be set: its name -> the probe, and the figure it is on."""
    found = {}
    for name in PROBES:
        kind: Any = PROBES[name]
        found.update({option: (name, bound) for option, bound in kind.bounds.items()})
    return found


def chosen_probes(given: Sequence[str], deep: bool, limits: Mapping[str, float]) -> list[str]:
    """The probes to ask, in the order of PROBES, those of the limits among them."""
    known = bounds()
    for name, limit in limits.items():
        if name not in known:
            raise BadParam(f"no limit is called {name!r}; there are: {', '.join(known)}")
        if not isfinite(limit) or (known[name][1].share and limit > 1):
            must_be = "a share, at most 1" if known[name][1].share else "finite"
            raise BadParam(f"{name} must be {must_be}, not {limit:g}")
    for name in given:
        PROBES[name]  # raises UnknownName
    wanted = {*(PROBES if deep else given or QUICK), *given, *(known[name][0] for name in limits)}
    return [name for name in PROBES if name in wanted]


def made(names: Sequence[str], params: Mapping[str, Mapping[str, Any]]) -> dict[str, Probe]:
    """The probes with their parameters. Raises BadParam for those of a probe that is not asked."""
    for owner in params:
        if owner not in names:
            raise BadParam(f"{owner!r} is none of the probes asked here: {', '.join(names)}")
    return {name: PROBES[name](**typed(PROBES[name], params.get(name, {}), name)) for name in names}


def answers(
    asked: Mapping[str, Callable[[], T]], needed: Collection[str], left_out: dict[str, str]
) -> dict[str, T]:
    """What each of them returns. One that raises BadParam is left out, unless it is needed.

    left_out: gets the reasons
    """
    found = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except BadParam as error:
            if name in needed:
                error.add_note(f"probe {name}")
                raise
            left_out[name] = str(error)
    return found


def running(probe: Probe, *checkpoints: Checkpoint, elsewhere: bool = False) -> Probe:
    """The probe, if by their headers the checkpoints run where it needs that; else BadParam.

    elsewhere: whether prompts are not read by the checkpoints themselves
    """
    for checkpoint in checkpoints if probe.runs else ():
        try:
            require_runnable(checkpoint)
        except BadCheckpoint as error:
            raise BadParam(str(error)) from error
    if probe.runs and elsewhere:
        raise BadParam(
            "it runs the model, which reads text by its own encoder; leave out --text-encoder and "
            "--embeddings"
        )
    if probe.judged:
        world_for(checkpoints[0])
    return probe


def judging(probe: Probe, about: Subject) -> Probe:
    """The probe, if the judge knows the target where it needs that; else BadParam."""
    if probe.judged:
        about.seen_as  # noqa: B018
    return probe


def any_runs(probes: Mapping[str, Probe]) -> bool:
    return any(probe.runs for probe in probes.values())


def outcomes(findings: Mapping[str, Finding], limits: Mapping[str, float]) -> list[Kept]:
    """How each limit came out."""
    found = []
    for name, limit in limits.items():
        probe, bound = bounds()[name]
        value = findings[probe].figures.get(bound.figure)
        found.append(Kept(name, probe, bound.figure, limit, value, bound.keeps(value, limit)))
    return found
