"""Ways to meet requests one after another. To add one: write its file, and add its line below."""

from ckptedit.registry import Registry

STRATEGIES = Registry(
    "strategy",
    {
        "sequential": "ckptedit.continual.strategies.sequential:Sequential",
        "simultaneous": "ckptedit.continual.strategies.simultaneous:Simultaneous",
        "independent": "ckptedit.continual.strategies.independent:Independent",
        "recomputed": "ckptedit.continual.strategies.recomputed:Recomputed",
    },
)
DEFAULT = {False: "recomputed", True: "sequential"}  # of a closed form, of what is trained
