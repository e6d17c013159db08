"""A model to scores: what is drawn (`suite`), who looks at it (`judge`, `clip`), what is counted.

A family names the world that its pictures are of; who knows that world is a line below.
"""

from ckptedit.registry import Registry

JUDGES = Registry("judge", {"canvas": "ckptedit.evaluation.judge:CanvasJudge"})
TOWERS = Registry("image tower", {"canvas": "ckptedit.evaluation.clip:ClipScore"})
