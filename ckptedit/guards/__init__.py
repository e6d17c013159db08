"""What an edit may move: one file per guard.

A guard is a class with any of the hooks of `Guard`. To add one: write its file, and add its
line below.
"""

from ckptedit.registry import Registry

GUARDS = Registry(
    "guard",
    {
        "gradproj:hard": "ckptedit.guards.gradproj_hard:GradProjHard",
        "gradproj:soft": "ckptedit.guards.gradproj_soft:GradProjSoft",
        "gradproj:gradient": "ckptedit.guards.gradproj_gradient:GradProjGradient",
        "anchor": "ckptedit.guards.anchor:Anchor",
        "outputs": "ckptedit.guards.outputs:Outputs",
        "selft": "ckptedit.guards.selft:SelFT",
        "ewc": "ckptedit.guards.ewc:EWC",
        "l1": "ckptedit.guards.l1:L1",
        "l2": "ckptedit.guards.l2:L2",
        "distill": "ckptedit.guards.distill:Distill",
    },
)
DEFAULT = ("gradproj:soft", "distill")  # as measured on mini: docs/six-styles.md
