"""Objectives of trained erasures. To add one: write its file, and add its line below."""

from ckptedit.registry import Registry

OBJECTIVES = Registry(
    "objective",
    {
        "conabl": "ckptedit.erasure.objectives.conabl:ConAbl",
        "conabl-noise": "ckptedit.erasure.objectives.conabl_noise:ConAblNoise",
        "esd": "ckptedit.erasure.objectives.esd:ESD",
        "sculpmem": "ckptedit.erasure.objectives.sculpmem:SculpMem",
        "ru": "ckptedit.erasure.objectives.ru:RU",
        "fu": "ckptedit.erasure.objectives.fu:FU",
        "lu": "ckptedit.erasure.objectives.lu:LU",
        "fdiv:kl": "ckptedit.erasure.objectives.fdiv:KL",
        "fdiv:jeffreys": "ckptedit.erasure.objectives.fdiv:Jeffreys",
        "fdiv:hellinger": "ckptedit.erasure.objectives.fdiv:Hellinger",
        "fdiv:js": "ckptedit.erasure.objectives.fdiv:JS",
        "fdiv:chi2": "ckptedit.erasure.objectives.fdiv:Chi2",
        "fdiv:tv": "ckptedit.erasure.objectives.fdiv:TV",
        "fdiv:alpha": "ckptedit.erasure.objectives.fdiv:Alpha",
        "fdiv-var": "ckptedit.erasure.objectives.fdiv_var:FDivVar",
        "doco": "ckptedit.erasure.objectives.doco:DoCo",
        "rgd": "ckptedit.erasure.objectives.rgd:RGD",
        "salun": "ckptedit.erasure.objectives.salun:SalUn",
        "fmn": "ckptedit.erasure.objectives.fmn:FMN",
        "vdu": "ckptedit.erasure.objectives.vdu:VDU",
    },
)
DEFAULT = "conabl"  # of a training
