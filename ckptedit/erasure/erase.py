"""Erasing concepts from a checkpoint: what stands behind `ckptedit erase`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from torch import Tensor

from ckptedit.concepts.lexicon import Lexicon, lexicon_of
from ckptedit.concepts.prompts import held_out
from ckptedit.concepts.request import Request, resolve
from ckptedit.concepts.wish import Wish
from ckptedit.deltas import write_delta
from ckptedit.deltas.change import Dense, LowRank, patched
from ckptedit.diffusion import Model, choose_threads, open_model, threads
from ckptedit.erasure.checks import look_over
from ckptedit.erasure.kv import KVWeights
from ckptedit.erasure.measure import Effect, measure
from ckptedit.erasure.memory import OnDisk
from ckptedit.erasure.method import Edits, Method, Solution
from ckptedit.erasure.options import DEFAULTS, Options
from ckptedit.erasure.outlook import Outlook, look_ahead
from ckptedit.erasure.trained import Trained
from ckptedit.errors import WriteFailed
from ckptedit.files import Checkpoint, check_output, ledger, write_edited
from ckptedit.files.cache import digest
from ckptedit.progress import Track, plan, silent
from ckptedit.subspaces.subspace import second_moment
from ckptedit.subspaces.words import Words


@dataclass(frozen=True)
class Erasure:
    """What an erasure did.

    edits:   name -> its change, unrounded, in the form in which it was made
    gram:    [d, d], mean of e eᵀ over the token embeddings of prompts that name the targets
    threads: that the training computed with; the bytes depend on it
    path, sha256: what was written, and the digest of its tensor data; None if nothing was
    """

    request: Request
    options: Options
    edits: Edits
    effect: Effect
    gram: Tensor
    threads: int
    seconds: float
    path: Path | None = None
    sha256: str | None = None

    def ledger_line(self, parent_sha256: str) -> Mapping[str, Any]:
        """The entry of this edit, with what later commands read of it."""
        facts: dict[str, Any] = {
            "concepts": [target.concept for target in self.request.targets],
            "targets": [asdict(target) for target in self.request.targets],
            "retain": list(self.request.retained),
        }
        options = self.options.facts() | {"threads": self.threads}
        return ledger.entry("erase", options, parent_sha256, seed=self.options.seed, **facts)


def erase(
    checkpoint: Checkpoint | str | Path,
    concepts: Sequence[str],
    output: str | Path | None = None,
    *,
    kind: str = "auto",
    anchor: str = "",
    retain: Sequence[str] = (),
    neighbors: int = 8,
    lexicon: Path | None = None,
    exact_name: bool = False,
    method: str = DEFAULTS.method,
    guards: Sequence[str] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    tokens: str = DEFAULTS.tokens,
    steps: int = DEFAULTS.steps,
    lr: float = DEFAULTS.lr,
    batch: int = DEFAULTS.batch,
    pictures: int = DEFAULTS.pictures,
    moments: int = DEFAULTS.moments,
    seed: int = DEFAULTS.seed,
    device: str = "auto",
    threads: int | None = None,
    prediction: str = "auto",
    tokenizer: Path | None = None,
    delta: bool = False,
    force: bool = False,
    in_place: bool = False,
    resume: bool = False,
    tell: Callable[[Outlook], None] | None = None,
    track: Track = silent,
) -> Erasure:
    """Erases concepts, and writes the edited checkpoint.

    checkpoint: an opened one, or its path
    concepts:   one or more, erased together
    output:     a file or folder; None: nothing is written, and `edits` of the result can be applied
    kind, anchor, retain, neighbors, lexicon, exact_name: as in `Wish`
    method, guards, params, tokens, steps, lr, batch, pictures, moments, seed: as in `Options`
    device:     "auto", "cpu", "cuda", "cuda:N", "mps"
    threads:    of the processor, 1 or more; the same number gives the same bytes on one machine;
                None: as many as the model's size is worth
    prediction: what the UNet puts out: "epsilon", "v_prediction", or "auto"
    delta:      writes what changed instead, as a delta file of the unrounded changes
    resume:     goes on where the same training was interrupted, if it was
    tell:       called with what is about to be done, before the dear work; may raise to end it
    Raises CkptError for whatever the user can mend; then nothing is written.
    """
    opened = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    if output is not None:
        check_output(output, [opened], force=force, in_place=in_place)
    options = Options(
        method=method,
        guards=guards,
        params=params or {},
        tokens=tokens,
        steps=steps,
        lr=lr,
        batch=batch,
        pictures=pictures,
        moments=moments,
        seed=seed,
    )
    wish = Wish(concepts, kind, anchor, retain, neighbors, lexicon, exact_name)
    job = prepare(
        opened,
        wish,
        options,
        device=device,
        threads=threads,
        prediction=prediction,
        tokenizer=tokenizer,
    )
    if tell:
        tell(job.outlook())
    memory = OnDisk(job.key(), resume)
    result = carry_out(job, memory, track)
    if output is None:
        return result
    where = {"force": force, **({} if delta else {"in_place": in_place})}
    try:
        written = (write_as_delta if delta else write_edit)(opened, result, output, **where)
    except WriteFailed as error:
        raise WriteFailed(f"{error}; what was trained is kept: --resume writes it") from error
    memory.forget()
    return replace(result, path=written.path, sha256=written.sha256)


@dataclass(frozen=True)
class Job:
    """An erasure that is about to be made: everything is resolved and checked, nothing computed."""

    checkpoint: Checkpoint
    model: Model
    lexicon: Lexicon
    request: Request
    options: Options
    weights: KVWeights
    threads: int | None

    def key(self) -> str:
        """The digest of all that the training depends on, but for where its result goes."""
        facts = (asdict(self.request), self.options.facts(), self.threads)
        return digest([self.model.fingerprint(), repr(facts)])

    def thread_count(self) -> int:
        """Threads of the processor that it computes with."""
        return self.threads or (choose_threads(self.model.unet) if self.options.trained else 1)

    def outlook(self) -> Outlook:
        """What is about to be done, and an estimate of what it takes; the model is run for that."""
        count = self.thread_count()
        with threads(count):
            return look_ahead(
                self.model, self.lexicon, self.request, self.options, self.weights, count
            )


def prepare(
    checkpoint: Checkpoint,
    wish: Wish,
    options: Options,
    *,
    device: str = "auto",
    threads: int | None = None,
    prediction: str = "auto",
    tokenizer: Path | None = None,
) -> Job:
    """Finds what is wrong with a request, its options or the checkpoint, before the dear work."""
    options.check()
    family = look_over(checkpoint, wish, method=options.method, prediction=prediction)
    weights = KVWeights(checkpoint, family)
    model = open_model(
        checkpoint,
        device=device,
        tokenizer=tokenizer,
        family=family,
        prediction=prediction,
        training=True,
    )
    request = resolve(wish, model.text, model.family, checkpoint.ledger)
    lexicon = lexicon_of(family, wish.lexicon)
    return Job(checkpoint, model, lexicon, request, options, weights, threads)


def carry_out(job: Job, memory: OnDisk, track: Track = silent) -> Erasure:
    """Computes an erasure. Writes nothing."""
    began, model, options = monotonic(), job.model, job.options
    plan(track, options.stages())
    words = Words(model.text, job.lexicon, track)
    method: Method
    method = Trained(options, memory) if options.trained else options.make(options.method)
    with threads(count := job.thread_count()):
        given = model if method.needs_model else None
        solution = method.solve(job.request, words, job.weights, model=given)
        return _report(job, words, solution, count, monotonic() - began)


def _report(job: Job, words: Words, solution: Solution, count: int, seconds: float) -> Erasure:
    request = job.request
    target, retain = (
        words.prompts(held_out(names, request) or ["", "a photo"])
        for names in (request.wanted, request.retain)
    )
    effect = measure(
        job.checkpoint, solution.edits, solution.directions, target=target, retain=retain
    )
    edits = job.weights.with_copies(solution.edits)
    gram = second_moment(target).float()
    return Erasure(request, job.options, edits, effect, gram, count, seconds)


def write_edit(base: Checkpoint, made: Erasure, output: str | Path, **how: bool) -> Any:
    """Writes the edited checkpoint: the same bytes that `apply` makes of its delta."""
    edits = {name: partial(_applied, base, name, change) for name, change in made.edits.items()}
    metadata = ledger.append(base.metadata, made.ledger_line(base.data_sha256()))
    return write_edited(output, base, edits, metadata=metadata, **how)


def _applied(base: Checkpoint, name: str, change: LowRank | Dense) -> Any:
    return patched(base.raw(name), base[name], change, 1)


def write_as_delta(base: Checkpoint, made: Erasure, output: str | Path, *, force: bool) -> Any:
    """Writes what changed, as it was computed."""
    line, gram = made.ledger_line(base.data_sha256()), np.asarray(made.gram)
    return write_delta(base, made.edits, output, line=line, gram=gram, force=force)
