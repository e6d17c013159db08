"""Closed forms: erasures without training. To add one: write its file, and add its line below."""

from ckptedit.registry import Registry

CLOSED_FORMS = Registry(
    "closed form",
    {
        "balanced": "ckptedit.erasure.closed_forms.balanced:Balanced",
        "uce": "ckptedit.erasure.closed_forms.uce:UCE",
        "rece": "ckptedit.erasure.closed_forms.rece:RECE",
        "mace": "ckptedit.erasure.closed_forms.mace:MACE",
        "dp": "ckptedit.erasure.closed_forms.dp:DP",
        "speed": "ckptedit.erasure.closed_forms.speed:Speed",
        "te-quickfix": "ckptedit.erasure.closed_forms.te_quickfix:TextQuickFix",
        "oce": "ckptedit.erasure.closed_forms.oce:OCE",
    },
)
DEFAULT = "balanced"  # of `erase`, as measured on mini: docs/erasing.md
