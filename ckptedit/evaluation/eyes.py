"""Who looks at a suite's pictures, by what the suite has and the user gave."""

from collections.abc import Iterator

from ckptedit.errors import BadParam
from ckptedit.evaluation import JUDGES, TOWERS
from ckptedit.evaluation.eye import Eye, Given
from ckptedit.evaluation.suite import World


def eyes_for(world: World, judge: str | None, given: Given) -> Iterator[Eye]:
    """A judge, and a pair of towers if there is one.

    judge: a name in JUDGES; default: the suite's
    Raises BadParam if nobody can judge.
    """
    name = judge or world.judge
    if name is None:
        raise BadParam(f"no judge ships for the suite {world.name}; there are: {', '.join(JUDGES)}")
    yield JUDGES[name](world, given)
    if world.tower is not None:
        yield TOWERS[world.tower](world, given)
