"""Independent erasures on many machines: what stands behind `ckptedit plan`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.continual import engines
from ckptedit.continual.engines import ENGINES
from ckptedit.continual.jobs import Job, Stage, Work
from ckptedit.continual.options import gathered, is_trained
from ckptedit.continual.requests import Requests, read_requests, standing
from ckptedit.continual.scoring import require_scorable, scored
from ckptedit.continual.settling import concepts_of, settled
from ckptedit.continual.spoken import erase_words
from ckptedit.errors import BadParam
from ckptedit.families import Family, detect
from ckptedit.families.runnable import require_runnable
from ckptedit.files import Checkpoint, check_output, escape, require_weights
from ckptedit.files.bounded import read_text
from ckptedit.files.sinks import new_files
from ckptedit.merging.recipe import Recipe
from ckptedit.text.embeddings import table_of
from ckptedit.text.outside import outside_parts, require_source

PLAN = "plan.json"


@dataclass(frozen=True)
class FanOut:
    """A plan as written: the file to start, all files, the stages of jobs, notes on the list."""

    path: Path
    files: tuple[Path, ...]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]


def plan(
    base: Checkpoint | str | Path,
    requests: Requests | str | Path,
    folder: str | Path,
    *,
    engine: str,
    merge: str = "ties",
    params: Mapping[str, Any] | None = None,
    scale: float = 1.0,
    shards: int | None = None,
    audits: bool = False,
    report: bool = False,
    device: str = "auto",
    threads: int | None = None,
    embeddings: str | Path | None = None,
    text_encoder: str | Path | None = None,
    force: bool = False,
) -> FanOut:
    """Writes what an engine needs to erase each request of its own, and merge what comes of it.

    Nothing is computed. Every job is one call of `ckptedit`, files in, one file out.

    base:     an opened checkpoint, or its path
    requests: a list, or its path, as `continual` reads it; what was withdrawn is left out
    folder:   gets the plan, and where its jobs write; it may be there
    engine:   a name of ENGINES
    merge, params, scale: as `merge` takes them
    shards:   of the evaluation; 0: none; default: 1 if the list has a table [eval], else none
    audits:   whether `audit` asks of each concept if it is gone; report: whether `report` makes a
              page of what was merged
    device, threads, embeddings, text_encoder: of the jobs, as in `erase`; the latter two for closed
              forms that are neither scored nor shown
    force:    writes over another plan; never over what its jobs have made
    Raises BadParam for a list or options that no job could carry out, OutputExists.
    """
    opened = base if isinstance(base, Checkpoint) else Checkpoint(base)
    require_weights(opened)
    asked = requests if isinstance(requests, Requests) else read_requests(requests)
    written = ENGINES[engine]
    Recipe(merge, params or {}, scale=scale).try_out(2)
    count = (1 if asked.evaluation else 0) if shards is None else shards
    common = gathered(asked.defaults)
    family = require_runnable(opened) if is_trained(common) else detect(opened)
    lexicon = Path(common["lexicon"]) if "lexicon" in common else None
    entries, notes = settled(asked.entries, common, lexicon_of(family, lexicon), opened.ledger)
    reading = _reading(opened, family, embeddings, text_encoder)
    _require_readable(reading, trained=is_trained(common), drawn=bool(count or report))
    how = [] if device == "auto" else [f"--device={device}"]
    joined = [f"--method={merge}", f"--scale={scale}", *erase_words({"params": params or {}}, "")]
    standing_at_last = concepts_of(standing(entries))
    evaluation = scored(asked.evaluation, opened, standing_at_last)
    work = Work(
        str(Path(opened.label).absolute()), asked.label, entries, common, how, reading, threads,
        joined, evaluation, count, audits, report,
    )  # fmt: skip
    stages = tuple(work.stages())
    if count:
        require_scorable(
            asked.evaluation, opened, standing_at_last, asked.label, "nothing of it with --shards 0"
        )
    place = Path(folder)
    made = {
        **written(stages),
        "job.sh": files(engines).joinpath("job.sh.txt").read_text(),
        PLAN: json.dumps({"schema_version": 1, **as_dict(stages)}, indent=2) + "\n",
    }
    return _write(place, made, stages, tuple(notes), force)


def _reading(
    base: Checkpoint, family: Family, embeddings: str | Path | None, folder: str | Path | None
) -> list[str]:
    """Words that say what the jobs read prompts with; looked at, not loaded."""
    require_source(base, family, embeddings, folder)
    if embeddings is not None:
        table_of(Checkpoint(embeddings), family.text_width)
        return [f"--embeddings={Path(embeddings).absolute()}"]
    if folder is not None:
        outside_parts(family, Path(folder))
        return [f"--text-encoder={Path(folder).absolute()}"]
    return []


def _require_readable(reading: Sequence[str], *, trained: bool, drawn: bool) -> None:
    """Raises BadParam for what prompts that are read elsewhere cannot be used for."""
    for option in (words.split("=")[0] for words in reading):
        if trained:
            raise BadParam(f"{option} is for closed forms, and this is trained; leave it out")
        if drawn:
            raise BadParam(
                f"scoring and the page draw pictures, which takes the text encoder of the "
                f"checkpoint; leave out {option}, or --report, and score nothing with --shards 0"
            )


def as_dict(stages: Sequence[Stage]) -> dict[str, Any]:
    """The stages under stable names."""
    return {"stages": [{"name": s.name, "jobs": list(map(_facts, s.jobs))} for s in stages]}


def _facts(job: Job) -> dict[str, Any]:
    return {
        "name": job.name, "inputs": list(job.inputs), "output": job.output, "said": job.said,
        "gpu": job.gpu, "command": list(job.words),
    }  # fmt: skip


def _write(
    folder: Path, made: Mapping[str, str], stages: tuple[Stage, ...], notes: tuple[str, ...],
    force: bool,
) -> FanOut:  # fmt: skip
    _require_fresh(folder, stages)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in made]
    for path, text in zip(paths, made.values(), strict=True):
        if not (path.is_file() and read_text(path) == text):
            check_output(path, force=force, report=True)
    texts = [text.encode() for text in made.values()]
    with new_files(list(zip(paths, map(len, texts), strict=True)), replace=True) as sinks:
        for sink, data in zip(sinks, texts, strict=True):
            sink.write(memoryview(data))
    return FanOut(paths[0], tuple(paths), stages, notes)


def _require_fresh(folder: Path, stages: Sequence[Stage]) -> None:
    """Raises BadParam if a job would take what another plan's has made for its own."""
    if not (before := folder / PLAN).is_file():
        return
    try:
        known = {job["output"]: job for stage in json.loads(read_text(before))["stages"]
                 for job in stage["jobs"]}  # fmt: skip
    except (ValueError, KeyError, TypeError):
        raise BadParam(f"{escape(before)} is no plan; take another folder") from None
    changed: set[str] = set()
    for job in (job for stage in stages for job in stage.jobs):
        if known.get(job.output) != _facts(job) or changed & set(job.inputs):
            changed.add(job.output)
            if (folder / job.output).exists():
                raise BadParam(
                    f"{escape(folder / job.output)} is of another plan; take another folder, or "
                    f"delete it"
                )
