"""A model to scores: what is drawn (`SUITES`), who looks (`JUDGES`, `TOWERS`), what is counted.

A suite is a function that returns a `World`. Towers are a class made of the world and of what the
user gave (`eye.Given`); a judge is made of these and of the towers in use. Both are an `eye.Eye`.
A family names the suite that its pictures are of; a suite names its judge and its towers.
"""

from ckptedit.registry import Registry

SUITES = Registry(
    "suite",
    {
        "canvas": "ckptedit.evaluation.suites.canvas:canvas",
        "unlearncanvas": "ckptedit.evaluation.suites.unlearncanvas:unlearncanvas",
    },
)
JUDGES = Registry(
    "judge",
    {
        "canvas": "ckptedit.evaluation.judge:canvas_judge",
        "clip": "ckptedit.evaluation.towers:zero_shot",
        "vit": "ckptedit.evaluation.classifiers:Classifiers",
    },
)
TOWERS = Registry(
    "pair of towers",
    {
        "canvas": "ckptedit.evaluation.clip:CanvasTowers",
        "folder": "ckptedit.evaluation.clip_folder:FolderTowers",
    },
)
