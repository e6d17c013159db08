"""Engines that run jobs on many machines. To add one: write its file, and add its line below.

An engine is a function `(stages) -> {name: text}` of the files that it reads, the one that a user
starts first; they stand beside `job.sh`, which carries out one job, and `plan.json`.
"""

from ckptedit.registry import Registry

ENGINES = Registry(
    "engine",
    {
        "snakemake": "ckptedit.continual.engines.snakemake:snakemake",
        "slurm": "ckptedit.continual.engines.slurm:slurm",
    },
)
