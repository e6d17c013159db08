"""The world of `mini`: what the canvas draws, by the classes of the judge that ships."""

import json

from ckptedit.evaluation.judge import JUDGE_FILE
from ckptedit.evaluation.suite import World
from ckptedit.files import Checkpoint


def canvas() -> World:
    with Checkpoint(JUDGE_FILE) as judge:
        styles, objects = (json.loads(judge.metadata[kind]) for kind in ("styles", "objects"))
    return World("canvas", tuple(styles), tuple(objects), judge="canvas", tower="canvas")
