"""Is it really gone: probes of one concept in an edited checkpoint, beside the original.

The quick ones need text encoder and weights only, the deep ones the whole model. A probe is a file
here and a line below; none of them edits anything.
"""

from ckptedit.registry import Registry

PROBES = Registry(
    "probe",
    {
        "residual": "ckptedit.audits.residual:Residual",
        "collateral": "ckptedit.audits.collateral:Collateral",
        "recoverability": "ckptedit.audits.recoverability:Recoverability",
        "gap": "ckptedit.audits.gap:Gap",
        "prefix": "ckptedit.audits.prefix:Prefix",
        "inversion": "ckptedit.audits.inversion:Inversion",
        "relearning": "ckptedit.audits.relearning:Relearning",
    },
)
QUICK = ("residual", "collateral", "recoverability")  # seconds, without a picture
