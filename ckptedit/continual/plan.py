"""A run, resolved and checked before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ckptedit
from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.private import is_hidden
from ckptedit.concepts.targets import erased
from ckptedit.continual.budget import ON_DRIFT, Budget
from ckptedit.continual.journal import SCHEMA_VERSION
from ckptedit.continual.options import gathered, is_trained, keywords, resolved
from ckptedit.continual.requests import Requests, options_of, standing
from ckptedit.continual.scoring import require_scorable
from ckptedit.continual.settling import concepts_of, names_of, settled
from ckptedit.continual.strategies import DEFAULT, STRATEGIES
from ckptedit.continual.strategies.strategy import Strategy, Work
from ckptedit.continual.verify import Verifier
from ckptedit.diffusion import open_model
from ckptedit.erasure.options import Options
from ckptedit.errors import BadParam, CkptError
from ckptedit.families import Family, detect
from ckptedit.families.runnable import require_runnable
from ckptedit.families.vocabulary import find_vocabulary
from ckptedit.files import Checkpoint, require_weights
from ckptedit.files.layout import FOLDER
from ckptedit.progress import Track
from ckptedit.text.outside import read_elsewhere
from ckptedit.text.tokenizer import load_tokenizer, words_digest

KEEP = ("last", "all")


@dataclass(frozen=True)
class Plan:
    """A run that can begin.

    evaluation: of [eval]; eval_at: after which requests, and 0, the base
    options:    of all requests, resolved
    ending:     of the checkpoints' names
    notes:      what was understood otherwise than written
    reading:    what prompts are read by, as JSON
    """

    work: Work
    name: str
    strategy: Strategy
    options: Options
    evaluation: Mapping[str, Any]
    eval_at: tuple[int, ...]
    keep: str
    budget: Budget | None
    ending: str
    notes: tuple[str, ...]
    reading: Mapping[str, Any]

    def settings(self) -> dict[str, Any]:
        """What makes it this run, as JSON; no paths."""
        return {
            "schema_version": SCHEMA_VERSION,
            "version": ckptedit.__version__,
            "base": {"label": Path(self.work.base.label).name,
                     "sha256": self.work.base.data_sha256()},
            "requests": [entry.digest() for entry in self.work.entries],
            "asked": [entry.as_fact() for entry in self.work.entries],
            "strategy": self.name,
            "method": self.options.method,
            "guards": list(self.options.guarded_by),
            "options": dict(sorted(self.work.options.items())),
            **self.strategy.settings(),
            "clip_skip": self.work.how.get("clip_skip"),
            **self.reading,
            "keep": self.keep,
            "evaluation": dict(self.evaluation) if self.eval_at else None,
            "max_drift": self.budget and self.budget.limit,
            "on_drift": self.budget and ON_DRIFT[self.budget.retry],
        }  # fmt: skip

    def verifier(self) -> Verifier:
        """What compares results with the base."""
        base, how = self.work.base, self.work.how
        model = open_model(
            base, device=how["device"], tokenizer=how["tokenizer"], clip_skip=how["clip_skip"],
            text=how.get("embeddings"), family=detect(base), training=True, runs=False,
        )  # fmt: skip
        return Verifier(base, model, names_of(self.work.entries), self.options.edited)


def planned(
    base: Checkpoint,
    asked: Requests,
    folder: Path,
    *,
    strategy: str | None,
    joining: Mapping[str, Any],
    options: Mapping[str, Any],
    how: Mapping[str, Any],
    keep: str,
    eval: bool,
    eval_at: Sequence[int],
    budget: Budget | None,
    track: Track,
) -> Plan:
    """The run, checked. joining: keywords of the strategy's constructor; how: of `erase`, those
    that say with what it computes and reads.

    Raises BadParam and what `erase` raises for whatever is wrong with it at a glance."""
    if keep not in KEEP:
        raise BadParam(f"keep must be one of {', '.join(KEEP)}, not {keep!r}")
    require_weights(base)
    _require_names(base)
    chosen = gathered(asked.defaults, options_of(options, "the command"))
    trained = is_trained(chosen)
    family = require_runnable(base) if trained else detect(base)
    name = strategy or DEFAULT[trained]
    kind: Any = STRATEGIES[name]
    if joining and not kind.joins:
        raise BadParam(f"{min(joining)} is of a merge, and {name} merges nothing; leave it out, or "
                       f"take --strategy independent")  # fmt: skip
    meeting: Strategy = kind(**joining)
    whole = resolved(keywords(chosen))
    if meeting.trained not in (None, trained):
        raise BadParam(_misfit(name, whole.method, trained))
    _require_readable(how, meeting, whole.method, trained, bool(eval or eval_at))
    lexicon = lexicon_of(family, Path(chosen["lexicon"]) if "lexicon" in chosen else None)
    entries, notes = settled(asked.entries, chosen, lexicon, base.ledger)
    work = Work(base, entries, folder, chosen, how, track)
    meeting.check(work)
    for entry in entries:
        try:
            work.keywords(entry, {})
        except CkptError as error:
            raise BadParam(f"{entry.where}: {error}") from error
    when = _when(eval, eval_at, len(entries))
    if when:
        require_scorable(
            asked.evaluation, base, concepts_of(standing(entries)), asked.label,
            "leave out --eval and --eval-at",
        )  # fmt: skip
    ending = "" if base.layout.kind == FOLDER else ".safetensors"
    how, reading = _opened(base, family, list(lexicon), how)
    return Plan(
        replace(work, how=how), name, meeting, whole, asked.evaluation, when, keep, budget, ending,
        tuple(notes), reading,
    )  # fmt: skip


def _require_readable(
    how: Mapping[str, Any], meeting: Strategy, method: str, trained: bool, scores: bool
) -> None:
    """Raises BadParam for what a text encoder from elsewhere cannot be used for."""
    options = {"embeddings": "--embeddings", "text_encoder": "--text-encoder"}
    for option in (options[name] for name in options if how.get(name) is not None):
        if trained:
            raise BadParam(f"{option} is for closed forms, and {method} is trained; leave it out")
        if scores:
            raise BadParam(
                f"scoring draws pictures, which takes the text encoder of the checkpoint; leave "
                f"out {option}, or --eval and --eval-at"
            )
        if option == "--embeddings" and not meeting.anew:
            raise BadParam(
                "what is built upon reads prompts that no list tells before; take --strategy "
                "recomputed or independent, or --text-encoder"
            )


def _opened(
    base: Checkpoint, family: Family, names: Sequence[str], how: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(keywords of `erase`, with a text encoder from elsewhere opened once; what of them makes it
    this run). names: of the lexicon"""
    found = dict(how)
    folder = found.pop("text_encoder")
    table = read_elsewhere(
        base, family, names, embeddings=how["embeddings"], folder=folder, device=how["device"]
    )
    if table is None:
        where = find_vocabulary(base, family, how["tokenizer"]).where
        return found, {"tokenizer": words_digest(load_tokenizer(where)), "text_encoder": None}
    source = "embeddings" if folder is None else "folder"
    told = {"tokenizer": None, "text_encoder": {source: table.digest()}}
    return found | {"embeddings": table}, told


def _require_names(base: Checkpoint) -> None:
    """Raises BadParam if the base hides what was erased before: nothing could hold it so."""
    if any(is_hidden(target.concept) for target in erased(base.ledger)):
        raise BadParam(
            f"{base.label}: its ledger keeps names of what was erased as salted hashes, and a "
            f"run cannot hold what it cannot name; erase one by one, with erase --earlier NAME"
        )


def _misfit(name: str, method: str, trained: bool) -> str:
    if trained:
        return (
            f"{name} is for closed forms, and {method} is trained; take --strategy simultaneous or "
            f"sequential, or name a closed form: erase --list-methods"
        )
    return (
        f"{name} trains, and {method} is a closed form; take --strategy recomputed, or name what "
        f"is trained: erase --list-methods"
    )


def _when(eval: bool, eval_at: Sequence[int], total: int) -> tuple[int, ...]:
    for number in eval_at:
        if not 0 <= number <= total:
            raise BadParam(f"--eval-at {number}: there are {total} requests, and 0, the base")
    if eval_at:
        return tuple(sorted({0, *eval_at}))
    return tuple(range(total + 1)) if eval else ()
