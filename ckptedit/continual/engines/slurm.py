"""Slurm: an array of jobs for each stage, which waits for the stages before it, and a script that
submits them all. Slurm pins GPUs itself.
"""

from collections.abc import Sequence
from shlex import join, quote

from ckptedit.continual.jobs import Job, Stage

SUBMIT = """\
#!/usr/bin/env bash
# Written by `ckptedit plan`: submits all of it. What is given here goes to every sbatch:
#
#     bash submit.sh --partition=gpu --time=2:00:00
#
# Submitted again, it does what is not done yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p logs
"""
ARRAY = """\
#!/usr/bin/env bash
#SBATCH --job-name=ckptedit-{name}
#SBATCH --array=1-{count}
#SBATCH --output=logs/slurm-%x-%a.out
#SBATCH --open-mode=append
#SBATCH --requeue
{gpu}cd "${{SLURM_SUBMIT_DIR:-$(dirname "${{BASH_SOURCE[0]}}")}}" || exit 2
case $SLURM_ARRAY_TASK_ID in
{cases}
esac
echo "error: there is no job $SLURM_ARRAY_TASK_ID here" >&2
exit 2
"""


def slurm(stages: Sequence[Stage]) -> dict[str, str]:
    """`submit.sh`, and a script for each stage."""
    submit, scripts = SUBMIT, {}
    after: dict[str, str] = {}  # output -> the stage that makes it
    for number, stage in enumerate(stages, start=1):
        name = f"{number}-{stage.name}.sbatch"
        read = dict.fromkeys(after[each] for job in stage.jobs for each in job.inputs)
        waits = ":".join(f"${{{before}%%;*}}" for before in read)
        depends = f'--dependency="afterok:{waits}" ' if waits else ""
        submit += f'{stage.name}=$(sbatch --parsable {depends}"$@" {name})\n'
        submit += f'echo "{stage.name}: ${{{stage.name}%%;*}}"\n'
        scripts[name] = _array(stage)
        after |= {job.output: stage.name for job in stage.jobs}
    return {"submit.sh": submit, **scripts}


def _array(stage: Stage) -> str:
    cases = "\n".join(f"{n}) exec {_call(job)} ;;" for n, job in enumerate(stage.jobs, start=1))
    gpu = "#SBATCH --gres=gpu:1\n" if any(job.gpu for job in stage.jobs) else ""
    return ARRAY.format(name=stage.name, count=len(stage.jobs), gpu=gpu, cases=cases)


def _call(job: Job) -> str:
    said = "--said " if job.said else ""
    return f"bash job.sh {said}{quote(job.output)} -- {join(job.words)}"
