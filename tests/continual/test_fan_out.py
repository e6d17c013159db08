"""Plans of independent erasures: what they hold, and run by the engines that they are for."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ckptedit.cli import app
from ckptedit.concepts.targets import erased as targets_of
from ckptedit.continual.engines import ENGINES
from ckptedit.continual.fan_out import plan
from ckptedit.continual.requests import EVALUATION, OPTIONS
from ckptedit.continual.spoken import NO_OPTION, option_of
from ckptedit.erasure.erase import erase
from ckptedit.errors import BadParam, OutputExists
from ckptedit.evaluation.evaluate import evaluate
from ckptedit.files import Checkpoint

ROOT = Path(__file__).parents[2]
SNAKEMAKE = ROOT / ".venv-snakemake" / "bin" / "snakemake"
ODD = "'$X {x}"  # a name that a shell, or a template, would read otherwise
LIST = f"""
[defaults]
method = "uce"
neighbors = 1
[[request]]
concept = "Van Gogh"
[[request]]
concept = {json.dumps(ODD)}
aliases = ["-dashed"]
exact_name = true
kind = "style"
[[request]]
concept = "Cat"
[[request]]
withdraw = "Cat"
[eval]
companions = 1
steps = 1
erased = ["Van Gogh"]
cache = false
retain = ["Monet"]
"""
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def options_of(command: str) -> set[str]:
    return {option for param in COMMANDS[command].params for option in param.opts}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("the base") / "it's base.safetensors"
    assert CliRunner().invoke(app, ["demo", "-o", str(path)]).exit_code == 0
    return path


@pytest.fixture
def asked(tmp_path) -> Path:
    (path := tmp_path / "asked.toml").write_text(LIST)
    return path


def jobs_of(folder: Path) -> list[dict]:
    stages = json.loads((folder / "plan.json").read_text())["stages"]
    return [job for stage in stages for job in stage["jobs"]]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_keyword_of_a_request_is_an_option_of_erase_or_refused(name):
    assert (name in NO_OPTION) != (option_of(name) in options_of("erase"))
    assert name in signature(erase).parameters


@pytest.mark.parametrize("name", EVALUATION)
def test_every_keyword_of_the_evaluation_is_an_option_of_eval(name):
    assert option_of(name) in options_of("eval")
    assert name in signature(evaluate).parameters


def test_every_job_is_a_command_that_parses_reads_what_is_made_and_makes_what_is_read(
    base, asked, tmp_path
):
    made = plan(
        base, asked, tmp_path / "run", engine="snakemake", shards=2, audits=True, report=True
    )
    there = set()
    for job in jobs_of(tmp_path / "run"):
        program, name, *words = job["command"]
        assert program == "ckptedit"
        context = COMMANDS[name].make_context(name, list(words))
        assert set(job["inputs"]) <= there
        assert job["said"] or context.params["output"] in (job["output"], Path(job["output"]))
        there.add(job["output"])
    names = [job.name for stage in made.stages for job in stage.jobs]
    assert names == ["erase 001", "erase 002", "merge", "part 001", "part 002", "scores",
                     "audit 001", "audit 002", "report"]  # fmt: skip
    erased = COMMANDS["erase"].make_context("erase", jobs_of(tmp_path / "run")[1]["command"][2:])
    scored = next(job["command"] for job in jobs_of(tmp_path / "run") if job["name"] == "part 001")
    assert "--erased=Van Gogh" in scored and "--no-cache" in scored
    assert list(erased.params["concept"]) == [ODD] and list(erased.params["alias"]) == ["-dashed"]
    assert erased.params["ckpt"] == str(base)


def test_aliases_which_no_judge_knows_are_not_scored(base, asked, tmp_path):
    asked.write_text(
        '[[request]]\nconcept = "Hokusai"\naliases = ["Katsushika"]\n[[request]]\n'
        'concept = "Cat"\n[[request]]\nwithdraw = "Cat"\n[eval]\ncompanions = 4\n'
    )
    plan(base, asked, tmp_path / "run", engine="slurm")
    (part,) = (job for job in jobs_of(tmp_path / "run") if job["name"] == "part 001")
    assert [w for w in part["command"] if w.startswith("--erased")] == ["--erased=Hokusai"]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_plan_may_be_written_again_and_another_not(engine, base, asked, tmp_path):
    folder = tmp_path / "run"
    first = plan(base, asked, folder, engine=engine)
    assert plan(base, asked, folder, engine=engine).path.read_text() == first.path.read_text()
    with pytest.raises(OutputExists):
        plan(base, asked, folder, engine=engine, merge="linear")
    plan(base, asked, folder, engine=engine, merge="linear", force=True)


def test_what_another_plan_has_made_is_not_taken_for_a_job_s_own(base, asked, tmp_path):
    folder = tmp_path / "run"
    plan(base, asked, folder, engine="slurm")
    for name in ("deltas/001.safetensors", "merged.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    plan(base, asked, folder, engine="slurm", shards=3, force=True)  # nothing that it changes
    asked.write_text(LIST.replace('kind = "style"', 'anchor = "photo"'))  # the second request
    with pytest.raises(BadParam, match=r"merged.safetensors is of another plan"):
        plan(base, asked, folder, engine="slurm", force=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[defaults]\nmoments = 3\nsteps = 2\n[[request]]\nconcept = 'Cat'",
            "moments is no option",
        ),
        ("[[request]]\nconcept = 'Cat'\nmethod = 'none'", r"request 1 \(Cat\): no method"),
        ("[[request]]\nconcept = 'Cat'\n[[request]]\nwithdraw = 'Cat'", "nothing to erase"),
        ("[[request]]\nconcept = 'Cat'\n[eval]\nsize = 3", "unknown key size"),
        ("[[request]]\nconcept = '@Cat'\nkind = 'object'", "@Cat would be read as the name of a"),
        (
            "[[request]]\nconcept = 'Zebra'\nkind = 'object'\n[eval]\nseeds = 1",
            "judge does not know",
        ),
    ],
)
def test_what_no_job_could_do_is_refused_and_nothing_is_written(text, said, base, asked, tmp_path):
    asked.write_text(text)
    with pytest.raises(Exception, match=said):
        plan(base, asked, tmp_path / "run", engine="snakemake")
    assert not (tmp_path / "run").exists()


@dataclass
class Job:
    """job.sh, with a command that a test writes."""

    folder: Path

    def __call__(self, *arguments: str, script: str, **environment: str):
        environment = {"SECONDS_BETWEEN": "0", **environment}
        (self.folder / "command").write_text(script)
        words = [*arguments, "out", "--", "bash", "command"]
        return subprocess.run(
            ["bash", "job.sh", *words], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip

    def calls(self) -> int:
        return len((self.folder / "calls").read_text().split())


@pytest.fixture
def job(tmp_path, base, asked) -> Job:
    plan(base, asked, tmp_path / "run", engine="slurm")
    return Job(tmp_path / "run")


@pytest.mark.parametrize(("status", "calls"), [(75, 3), (137, 3), (2, 1), (130, 1)])
def test_a_job_is_tried_again_only_where_that_may_help(job, status, calls):
    done = job(script=f"echo x >>calls; echo error: so >&2; exit {status}", TRIES="3")
    assert (done.returncode, job.calls()) == (status, calls)
    assert done.stdout == "" and ("so" if calls == 1 else "0 more tries") in done.stderr
    assert not (job.folder / "out").exists()


def test_a_job_whose_earlier_try_was_faster_is_done(job):
    assert job(script="echo y >out; exit 2").returncode == 0


def test_a_job_that_is_done_is_not_done_again(job):
    assert job(script="echo x >>calls; echo y >out").returncode == 0
    assert job(script="echo x >>calls; exit 2").returncode == 0
    assert job.calls() == 1


def test_what_is_said_becomes_the_output_whole_and_beyond_a_limit_is_a_result(job):
    assert job("--said", script="echo half; exit 2").returncode == 2
    assert [path.name for path in job.folder.glob("out*")] == []
    assert job("--said", script="echo all; exit 1").returncode == 0
    assert (job.folder / "out").read_text() == "all\n"


def test_jobs_get_gpus_of_their_own_and_give_them_back(job):
    gpus = {"CUDA_VISIBLE_DEVICES": "4,7", "GPU_LOCKS": str(job.folder / "locks")}
    other = "CUDA_VISIBLE_DEVICES=4,7 bash job.sh --pin other -- bash -c"
    script = f"{other} 'echo $CUDA_VISIBLE_DEVICES >other'; echo $CUDA_VISIBLE_DEVICES >out"
    for _ in range(2):
        assert job("--pin", script=script, **gpus).returncode == 0
        found = [(job.folder / name).read_text() for name in ("out", "other")]
        assert found == ["4\n", "7\n"]
        for name in ("out", "other"):
            (job.folder / name).unlink()


FAULTY = """#!/usr/bin/env bash
# The real one; but the first erasure of Van Gogh is killed with the job that it is of, so is the
# first merge, alone, and the first erasure of the other fails for once.
case $* in
*--shard*) ;;
erase*Gogh*) mkdir "$FAULTS/job" 2>/dev/null && kill -KILL $PPID $$ ;;
erase*) mkdir "$FAULTS/once" 2>/dev/null && exit 75 ;;
merge*) mkdir "$FAULTS/merge" 2>/dev/null && kill -KILL $$ ;;
esac
exec {python} -m ckptedit "$@"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """In which `ckptedit` is one that fails now and then, if $FAULTS is a folder."""
    folder = tmp_path_factory.mktemp("bin")
    (program := folder / "ckptedit").write_text(
        FAULTY.replace("{python}", shlex.quote(sys.executable))
    )
    program.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "SECONDS_BETWEEN": "0",
            "FAULTS": "/nowhere/at/all"}  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(base, environment, tmp_path_factory) -> Path:
    """What the tasks of the arrays make, run by hand: erasures and their merge."""
    folder = tmp_path_factory.mktemp("by hand") / "a run"
    (asked := folder.with_name("asked.toml")).write_text(LIST)
    made = plan(base, asked, folder, engine="slurm", device="cpu")
    for script in made.files:
        if script.suffix in (".sh", ".sbatch"):
            assert subprocess.run(["bash", "-n", script]).returncode == 0
    for task in ("1-erase.sbatch 2", "1-erase.sbatch 1", "2-merge.sbatch 1"):
        script, number = task.split()
        own = {"SLURM_ARRAY_TASK_ID": number, "SLURM_SUBMIT_DIR": str(folder)}
        done = subprocess.run(
            ["bash", folder / script], env={**environment, **own}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return folder


def test_the_arrays_of_slurm_erase_and_merge_all_that_is_asked_for(undisturbed):
    merged = Checkpoint(undisturbed / "merged.safetensors")
    told = [target.concept for target in targets_of(merged.ledger)]
    assert told == ["Van Gogh", ODD, "-dashed"]
    lacking = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_SUBMIT_DIR": str(undisturbed)}
    done = subprocess.run(
        ["bash", undisturbed / "1-erase.sbatch"], env={**os.environ, **lacking}, capture_output=True
    )
    assert done.returncode == 2


def test_all_stages_of_slurm_are_submitted_and_wait_for_each_other(undisturbed, tmp_path):
    (program := tmp_path / "sbatch").write_text('#!/bin/sh\necho "$@" >>sent\nwc -l <sent\n')
    program.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", undisturbed / "submit.sh", "--time=9"], env=path)
    assert done.returncode == 0
    assert (undisturbed / "sent").read_text().splitlines() == [
        "--parsable --time=9 1-erase.sbatch",
        "--parsable --dependency=afterok:1 --time=9 2-merge.sbatch",
        "--parsable --dependency=afterok:2 --time=9 3-part.sbatch",
        "--parsable --dependency=afterok:3 --time=9 4-scores.sbatch",
    ]


@pytest.mark.skipif(not SNAKEMAKE.exists(), reason="make test sets up .venv-snakemake")
def test_jobs_that_are_killed_or_fail_once_end_in_the_same_bytes(
    undisturbed, base, environment, tmp_path
):
    (asked := tmp_path / "asked.toml").write_text(LIST)
    (faults := tmp_path / "faults").mkdir()
    made = plan(base, asked, tmp_path / "a run", engine="snakemake", shards=2, device="cpu")
    folder = made.path.parent

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        words = [SNAKEMAKE, "--cores", "2", "--directory", folder, "-s", made.path, *more]
        own = {"FAULTS": str(faults)}
        return subprocess.run(words, env={**environment, **own}, capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stderr
    assert {path.name for path in faults.iterdir()} == {"job", "once", "merge"}
    merged, same = (each / "merged.safetensors" for each in (folder, undisturbed))
    assert merged.read_bytes() == same.read_bytes()
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["n"] > 0 and 0 <= scores["ua"] <= 1
    assert "Nothing to be done" in run("-n").stdout
