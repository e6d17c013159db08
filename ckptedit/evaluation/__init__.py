"""A model to scores: what is drawn (`SUITES`), who looks (`JUDGES`, `TOWERS`), what is counted.

A suite is a function that returns a `World`. A judge is a class made of the world and of the files
that the user gave (`eye.Given`), and so is a pair of towers; both are an `eye.Eye`.
A family names the suite that its pictures are of; a suite names its judge and its towers.
"""

from ckptedit.registry import Registry

SUITES = Registry("suite", {"canvas": "ckptedit.evaluation.suites.canvas:canvas"})
JUDGES = Registry("judge", {"canvas": "ckptedit.evaluation.judge:canvas_judge"})
TOWERS = Registry("pair of towers", {"canvas": "ckptedit.evaluation.clip:CanvasTowers"})
