"""Objectives of trained erasures. To add one: write its file, and add its line below."""

from ckptedit.registry import Registry

OBJECTIVES = Registry(
    "objective",
    {
        "conabl": "ckptedit.erasure.objectives.conabl:ConAbl",
        "conabl-noise": "ckptedit.erasure.objectives.conabl_noise:ConAblNoise",
        "esd": "ckptedit.erasure.objectives.esd:ESD",
    },
)
DEFAULT = "conabl"
