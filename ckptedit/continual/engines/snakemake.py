"""Snakemake 8 or later: a workflow engine that resumes by files, on one machine or many.

It counts GPUs and does not pin them, so that `job.sh --pin` looks for a free one.
"""

from collections.abc import Sequence
from importlib.resources import files

from ckptedit.continual.jobs import Stage


def snakemake(stages: Sequence[Stage]) -> dict[str, str]:
    """The file is the same for all plans: it reads plan.json."""
    return {"Snakefile": files(__package__).joinpath("Snakefile.txt").read_text()}
