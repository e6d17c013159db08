"""Requests one after another: met, verified and scored in turn; `ckptedit continual`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from ckptedit.concepts.names import normal
from ckptedit.concepts.targets import Target, erased
from ckptedit.continual.budget import ON_DRIFT, Budget, Spent, Tighter, within
from ckptedit.continual.journal import RESULTS, SCHEMA_VERSION, Journal, alone, remove
from ckptedit.continual.lines import finite, kind_of, rebounds, told, verified
from ckptedit.continual.options import resolved
from ckptedit.continual.plan import Plan, planned
from ckptedit.continual.requests import Asked, Requests, read_requests
from ckptedit.continual.scoring import scored
from ckptedit.continual.settling import concepts_of, names_of
from ckptedit.continual.strategies.strategy import Step, unnumbered
from ckptedit.continual.verify import Look
from ckptedit.erasure.job import Erasure
from ckptedit.errors import BadParam, CkptError
from ckptedit.evaluation.evaluate import evaluate
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, check_space
from ckptedit.progress import Track, silent
from ckptedit.text.table import PromptTable


@dataclass(frozen=True)
class Continual:
    """What a run came to.

    output:  the newest checkpoint; None where nothing could be done within the budget
    results: the file of `lines`, one for each finished request, and one for a stopped one
    stopped: whether the drift budget ended it before all requests were met
    """

    folder: Path
    results: Path
    output: Path | None
    sha256: str | None
    lines: tuple[Mapping[str, Any], ...]
    stopped: bool


def unlearn(
    base: Checkpoint | str | Path,
    requests: Requests | str | Path,
    folder: str | Path,
    *,
    strategy: str | None = None,
    options: Mapping[str, Any] | None = None,
    merge: str | None = None,
    merge_params: Mapping[str, Any] | None = None,
    scale: float | str | None = None,
    keep: str = "last",
    eval: bool = False,
    eval_at: Sequence[int] = (),
    max_drift: float | None = None,
    on_drift: str = "stop",
    device: str = "auto",
    threads: int | None = None,
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    embeddings: Checkpoint | str | Path | PromptTable | None = None,
    text_encoder: str | Path | None = None,
    force: bool = False,
    tell: Callable[[str], None] | None = None,
    track: Track = silent,
) -> Continual:
    """Meets requests one after another; goes on where a run in the folder was interrupted.

    requests:  a list, or its path, as `read_requests` takes it; it may have grown since
    folder:    gets run.json, results.jsonl, and NNN.safetensors after request NNN
    strategy:  a name of STRATEGIES; None: recomputed for a closed form, sequential for a training
    options:   keywords of `erase` for all requests, before those of the list's [defaults]; what a
               request says itself goes before both
    merge, merge_params, scale: of `independent`: a method of `merge` and its hyperparameters, and
               the factor of what it merges, "auto" for that of `strategies/independent.py`; None:
               ties, its own, 1
    keep:      "last": only the newest checkpoint stays; "all"
    eval:      scores the base, and the result of each request; eval_at: of these only
    max_drift: the largest ‖ΔW‖ / ‖W‖ from the base, above 0, of all weights that the run may edit;
               on_drift: beyond it "stop", or "retry" as `continual/budget.py` has it
    device, threads, tokenizer, clip_skip, embeddings, text_encoder: as in `erase`; the latter two
               for closed forms that are not scored
    force:     a run with other settings or requests in the folder is thrown away
    tell:      called with a line for every finished request, and every warning
    Raises CkptError for whatever the user can mend; what was finished before stays finished.
    """
    opened = base if isinstance(base, Checkpoint) else Checkpoint(base)
    asked = requests if isinstance(requests, Requests) else read_requests(requests)
    if on_drift not in ON_DRIFT:
        raise BadParam(f"on_drift must be one of {', '.join(ON_DRIFT)}, not {on_drift!r}")
    if max_drift is None and on_drift != ON_DRIFT[0]:
        raise BadParam(f"on_drift {on_drift} is of a budget; say which, max_drift, or leave it out")
    budget = None if max_drift is None else Budget(max_drift, on_drift == "retry")
    given = {"merge": merge, "params": merge_params, "scale": scale}
    joining = {name: value for name, value in given.items() if value not in (None, {})}
    how = {
        "device": device, "threads": threads, "tokenizer": tokenizer, "clip_skip": clip_skip,
        "embeddings": embeddings, "text_encoder": text_encoder,
    }  # fmt: skip
    plan = planned(
        opened, asked, Path(folder), strategy=strategy, joining=joining, options=options or {},
        how=how, keep=keep, eval=eval, eval_at=eval_at, budget=budget, track=track,
    )  # fmt: skip
    with alone(Path(folder)):
        journal = Journal(Path(folder))
        journal.begin(plan.settings(), force=force)
        if budget:
            _require_kept(budget, journal.lines)
        return _Runner(plan, journal, tell or (lambda _: None)).run()


@dataclass
class _Runner:
    plan: Plan
    journal: Journal
    tell: Callable[[str], None]
    halted: list[Mapping[str, Any]] = field(default_factory=list)  # the line that stopped it

    def run(self) -> Continual:
        plan, work, journal = self.plan, self.plan.work, self.journal
        for note in plan.notes:
            self.tell(f"warning: {note}")
        total, stopped = len(work.entries), False
        self._newest()
        if journal.done < total or not self._scored(0):
            check_space(journal.folder / f"000{plan.ending}", work.base.sizes)
            self._score_base()
        if journal.done < total:
            self.verifier = plan.verifier()
            self.plan = replace(plan, work=replace(work, verifier=self.verifier))
        for number in range(journal.done + 1, total + 1):
            line = self._meet(number)
            journal.append(line)
            stopped = line["output"] is None
            self.halted = [line] if stopped else []
            self.tell(told(line, total))
            for warning in line["warnings"]:
                self.tell(f"warning: {warning}")
            if stopped:
                break
            self._tidy()
        return self._result(stopped)

    def _scored(self, number: int) -> bool:
        return number not in self.plan.eval_at or any(
            line["request"] == number for line in self.journal.lines
        )

    def _score_base(self) -> None:
        if self._scored(0):
            return
        base, entries = self.plan.work.base, self.plan.work.standing(len(self.plan.work.entries))
        line = self._line(0, Asked(0, ""), Look(0.0, {}, {}), None, 0.0, None)
        line |= {"sha256": base.data_sha256(), "scores": self._scores(base, concepts_of(entries))}
        self.journal.append(finite(line))

    def _meet(self, number: int) -> dict[str, Any]:
        """Writes the checkpoint after a request, and returns its line."""
        plan, work, began = self.plan, self.plan.work, monotonic()
        entry, output = work.entries[number - 1], self.journal.folder / f"{number:03}{plan.ending}"
        newest = self._newest()
        standing = work.standing(number)

        def attempt(tighter: Tighter) -> tuple[tuple[Step, Look], float]:
            made = plan.strategy.step(work, number, newest, output, tighter)
            edited = Checkpoint(output)
            look = self.verifier.look(edited, _targets(edited, names_of(standing)))
            return (made, look), look.drift

        spent: Spent | None = None
        done: tuple[Step, Look] | None
        if plan.budget is None:
            done, _ = attempt({})
        else:
            before = 0.0 if plan.strategy.jointly else self._drift()
            chosen = resolved(work.keywords(entry, {}))
            done, spent = within(plan.budget, attempt, lambda: chosen, before)
        seconds = monotonic() - began
        if done is None:
            remove(self.journal.folder, output.name)
            reached = spent.tries[-1].drift if spent else None
            look = Look(float("nan") if reached is None else reached, {}, {})
            return finite(self._line(number, entry, look, None, seconds, spent))
        made, look = done
        line = self._line(number, entry, look, made.made, seconds, spent) | dict(made.facts)
        edited = Checkpoint(output)
        line |= {"output": output.name, "sha256": edited.data_sha256()}
        if number in plan.eval_at:
            line["scores"] = self._scores(edited, concepts_of(standing))
        return finite(line)

    def _line(
        self, number: int, entry: Asked, look: Look, made: Erasure | None, seconds: float,
        spent: Spent | None,
    ) -> dict[str, Any]:  # fmt: skip
        plan, standing = self.plan, self.plan.work.standing(number)
        options = made.options if made else plan.options
        rows = verified(look.residuals, standing, self.journal.lines, number)
        warnings = [*(made.request.notes if made else ()), *(made.warnings if made else ())]
        return {
            "schema_version": SCHEMA_VERSION,
            "request": number,
            "asked": list(entry.names),
            "withdrawn": list(entry.withdraw),
            "erased": names_of(standing),
            "kind": kind_of(made.request.targets, entry) if made else None,
            "strategy": plan.name,
            "method": options.method,
            "guards": list(options.guarded_by),
            "seconds": round(seconds, 3),
            "drift": {"relative": look.drift},
            "output": None,
            "sha256": None,
            "verified": rows,
            "budget": spent.as_fact() if spent else None,
            "scores": None,
            "warnings": [*warnings, *rebounds(rows, plan.strategy.remedy)],
        }

    def _scores(self, checkpoint: Checkpoint, gone: Sequence[str]) -> dict[str, Any]:
        how = {key: self.plan.work.how[key] for key in ("device", "tokenizer", "clip_skip")}
        track = unnumbered(self.plan.work.track)
        keywords = scored(self.plan.evaluation, self.plan.work.base, gone)
        scores = evaluate(checkpoint, track=track, **keywords, **how)
        return asdict(scores)

    def _newest(self) -> Checkpoint:
        line = self.journal.newest
        if line is None:
            return self.plan.work.base
        again = "begin anew with --force, or name another folder"
        try:
            found = Checkpoint(self.journal.folder / line["output"])
            sha256 = found.data_sha256()
        except CkptError as error:
            error.add_note(f"request {line['request']} wrote it; {again}")
            raise
        if sha256 != line["sha256"]:
            raise BadParam(f"{found.label} is not what request {line['request']} wrote; {again}")
        return found

    def _drift(self) -> float:
        line = self.journal.newest
        return float(line["drift"]["relative"]) if line else 0.0

    def _tidy(self) -> None:
        """Removes the checkpoints before the newest, if only that is to stay."""
        if self.plan.keep == "all":
            return
        for line in self.journal.lines[:-1]:
            remove(self.journal.folder, line["output"])

    def _result(self, stopped: bool) -> Continual:
        folder, line = self.journal.folder, self.journal.newest
        output = folder / line["output"] if line else None
        lines = (*self.journal.lines, *self.halted)
        sha256 = line["sha256"] if line else None
        return Continual(folder, folder / RESULTS, output, sha256, lines, stopped)


def _require_kept(budget: Budget, lines: Sequence[Mapping[str, Any]]) -> None:
    """Raises BadParam if a request that is finished went beyond the budget."""
    for line in lines:
        if (drift := line["drift"]["relative"]) > budget.limit:
            raise BadParam(
                f"request {line['request']} is finished, with a drift of {drift:.4f}, beyond "
                f"--max-drift {budget.limit:g}; raise the limit, or begin anew with --force"
            )


def _targets(edited: Checkpoint, names: Sequence[str]) -> list[Target]:
    """What its ledger says was erased, of these names."""
    asked = set(map(normal, names))
    return [target for target in erased(edited.ledger) if normal(target.concept) in asked]
