"""Who looks at a suite's pictures, by what the suite has and the user gave."""

from ckptedit.errors import BadParam
from ckptedit.evaluation import JUDGES, TOWERS
from ckptedit.evaluation.detector import Detector
from ckptedit.evaluation.eye import Eye, Given
from ckptedit.evaluation.suite import World
from ckptedit.evaluation.towers import Towers


def eyes_for(world: World, judge: str | None, given: Given) -> tuple[list[Eye], Towers | None]:
    """A judge, a pair of towers, a detector, as far as there are any; and the towers again.

    judge: a name in JUDGES; default: vit for --classifier, else the suite's, else clip for --clip
    Raises BadParam if nobody can judge, UnknownName for a judge that there is not.
    """
    own = "folder" if given.clip is not None else world.tower
    towers: Towers | None = None if own is None else TOWERS[own](world, given)
    name = judge or _judge(world, given)
    if name is not None and not world.styles:
        raise BadParam(f"the judge {name} tells styles and objects apart, and prompts name none")
    if given.classifier and name != "vit":
        raise BadParam(f"--classifier is for the judge vit, not for {name}; leave one out")
    eyes: list[Eye] = [] if name is None else [JUDGES[name](world, given, towers)]
    eyes += [] if towers is None else [towers]
    eyes += [] if given.detector is None else [Detector(world, given)]
    return eyes, towers


def _judge(world: World, given: Given) -> str | None:
    if given.classifier:
        return "vit"
    if world.judge is not None:
        return world.judge
    if not world.styles and (given.clip or given.detector or world.tower):
        return None  # there is nothing to tell apart
    if given.clip is not None:
        return "clip"
    if given.detector is not None:
        return None  # its scores are all that is asked for
    if not world.styles:
        raise BadParam(
            "nobody looks at these pictures: name a CLIP model (--clip DIR), or a "
            "program (--detector)"
        )
    raise BadParam(
        f"no judge ships for the suite {world.name}: name its classifiers (--classifier FILE, one "
        "for styles, one for objects), a CLIP model (--clip DIR), or a program (--detector)"
    )
