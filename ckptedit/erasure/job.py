"""One erasure: resolved and checked before anything is computed, then carried out."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from torch import Tensor

from ckptedit.concepts.lexicon import Lexicon, lexicon_of
from ckptedit.concepts.private import hide
from ckptedit.concepts.prompts import FEW, MEASURED, held_out
from ckptedit.concepts.request import Request, resolve
from ckptedit.concepts.wish import Wish
from ckptedit.diffusion import Model, choose_threads, open_model, threads
from ckptedit.diffusion.ranks import ALONE, Ranks
from ckptedit.erasure.checks import look_over
from ckptedit.erasure.closed_forms.scaling import scaled
from ckptedit.erasure.closed_forms.sides import HELD_OUT, Where, sides
from ckptedit.erasure.kv import KVWeights
from ckptedit.erasure.measure import Effect, measure
from ckptedit.erasure.memory import Memory
from ckptedit.erasure.method import Edits, Method, Solution
from ckptedit.erasure.options import Options
from ckptedit.erasure.original import original_of
from ckptedit.erasure.outlook import Outlook, look_ahead
from ckptedit.erasure.outside import outside
from ckptedit.erasure.trained import Trained
from ckptedit.families.vocabulary import SHIPPED, Vocabulary
from ckptedit.files import Checkpoint, ledger
from ckptedit.files.cache import digest, told_by
from ckptedit.files.touched import patterns
from ckptedit.progress import Track, plan, silent
from ckptedit.subspaces.subspace import second_moment
from ckptedit.subspaces.words import Words
from ckptedit.text import ClipEncoder, TextEncoder


@dataclass(frozen=True)
class Erasure:
    """What an erasure did.

    edits:   name -> its change, unrounded, in the form in which it was made
    gram:    [d, d], mean of e eᵀ over what the weights read of prompts that name the targets
    threads: that the training computed with, and processes: that it shared its batches; the bytes
    depend on both
    vocabulary: the tokenizer, and where it was found; words_sha256: digest of its vocabulary, if it
    is not the tool's; clip_skip: the layer of the text that was read, if not the family's
    scale:   that the change was multiplied by, to meet `min_erase` and `max_drift`
    facts, erases, warnings, notes: as in `Solution`
    original: digest of the tensor data that all of it was computed from, if that is not the parent
    salt:     of the hashes that stand for names in the ledger; None: names stand there
    path, sha256: what was written, and the digest of its tensor data; None if nothing was
    """

    request: Request
    options: Options
    edits: Edits
    effect: Effect
    gram: Tensor
    threads: int
    seconds: float
    vocabulary: Vocabulary | None = None
    words_sha256: str | None = None
    clip_skip: int | None = None
    scale: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    erases: bool = True
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    original: str | None = None
    salt: str | None = None
    processes: int = 1
    path: Path | None = None
    sha256: str | None = None

    def ledger_line(
        self, parent_sha256: str, names: Collection[str], also: Collection[str] = ()
    ) -> Mapping[str, Any]:
        """The entry of this edit, with what later commands read of it.

        names: of all tensors; also: what may differ from the parent beside the edits
        """
        gone = self.request.targets if self.erases else ()
        facts: dict[str, Any] = {
            **patterns([*self.edits, *also], names),
            "concepts": [target.concept for target in gone],
            "targets": [target.as_fact() for target in gone],
            "retain": list(self.request.retained),
        }
        if self.request.asked:
            facts["asked"] = list(self.request.asked)
        if self.original:
            facts["original_sha256"] = self.original
        if not self.erases:
            facts["changed"] = [target.concept for target in self.request.targets]
        options = self.options.facts() | {"threads": self.threads}
        if self.processes > 1:
            options["processes"] = self.processes
        read = {"vocabulary_sha256": self.words_sha256, "clip_skip": self.clip_skip}
        options |= {name: value for name, value in read.items() if value is not None}
        if self.salt:
            facts, options = hide(facts, self.salt), hide(options, self.salt)
        return ledger.entry("erase", options, parent_sha256, seed=self.options.seed, **facts)


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
    original: KVWeights | None = None  # before all edits, if that is needed
    ranks: Ranks = ALONE

    def key(self) -> str:
        """The digest of all that the training depends on, but for where its result goes."""
        facts = (asdict(self.request), self.options.facts(), self.threads, asdict(self.lexicon))
        words = self.model.text.digest()  # another --tokenizer is another training
        before = [] if self.original is None else [self.original.checkpoint.data_sha256()]
        before += [f"processes {self.ranks.count}"] if self.ranks.count > 1 else []
        return digest([self.model.fingerprint(), words, repr(facts), *before])

    def thread_count(self) -> int:
        """Threads of the processor that it computes with."""
        if self.threads or self.options.trained:
            return self.threads or choose_threads(self.model.unet)
        text = self.model.text  # a closed form's time goes into reading; of small ones, one is best
        if isinstance(text, ClipEncoder) and text.large:
            return choose_threads(text.transformer)
        return 1

    def outlook(self) -> Outlook:
        """What is about to be done, and an estimate of what it takes; the model is run for that."""
        count = self.thread_count()
        with threads(count):
            return look_ahead(
                self.model,
                self.lexicon,
                self.request,
                self.options,
                self.weights,
                count,
                self.ranks,
            )


def prepare(
    checkpoint: Checkpoint,
    wish: Wish,
    options: Options,
    *,
    device: str = "auto",
    threads: int | None = None,
    prediction: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    text: TextEncoder | None = None,
    vram: int | None = None,
    compiled: bool = False,
    original: Checkpoint | None = None,
    ranks: Ranks = ALONE,
) -> Job:
    """Finds what is wrong with a request, its options or the checkpoint, before the dear work."""
    options.check()
    family = look_over(checkpoint, wish, method=options.method, prediction=prediction)
    weights = KVWeights(checkpoint, family, options.edited)
    before = original_of(checkpoint, original, options.comparing())
    model = open_model(
        checkpoint,
        device=device,
        tokenizer=tokenizer,
        clip_skip=clip_skip,
        text=text,
        family=family,
        prediction=prediction,
        training=True,
        runs=options.trained,
        compiled=compiled,
    )
    if options.trained:
        trained = sum(weights.checkpoint[name].numel for name in weights)
        model.cut_to_fit(trained, ranks.share_of(options.batch), vram)
    request = resolve(wish, model.text, model.family, checkpoint.ledger)
    lexicon = lexicon_of(family, wish.lexicon)
    first = None if before is None else KVWeights(before, family, options.edited)
    return Job(checkpoint, model, lexicon, request, options, weights, threads, first, ranks)


def carry_out(job: Job, memory: Memory, track: Track = silent) -> Erasure:
    """Computes an erasure. Writes nothing."""
    began, model, options = monotonic(), job.model, job.options
    plan(track, options.stages())
    words = Words(model.text, job.lexicon, track)
    method: Method
    trained = Trained(options, memory, job.original, job.ranks)
    method = trained if options.trained else options.make(options.method)
    with threads(count := job.thread_count()), told_by(job.ranks.same):
        given = model if method.needs_model else None
        solution = method.solve(job.request, words, job.weights, model=given)
        if options.basis and not options.trained:
            solution = outside(solution, options.basis)
        solution, scale = _within_limits(job, words, solution)
        return _report(job, words, solution, scale, count, monotonic() - began)


def _within_limits(job: Job, words: Words, solution: Solution) -> tuple[Solution, float]:
    """The solution at the scale that the options ask for, and that scale."""
    limits = {"min_erase": job.options.min_erase, "max_drift": job.options.max_drift}
    if all(limit is None for limit in limits.values()):
        return solution, 1.0
    embed = words.encoder.gathered if job.options.edited == "te" else None
    told = replace(job.request, earlier=())
    read = sides(told, words, Where(HELD_OUT, "all"), embed=embed)
    edits, scale = scaled(solution.edits, job.weights, read, **limits)
    return replace(solution, edits=edits), scale


def _report(
    job: Job, words: Words, solution: Solution, scale: float, count: int, seconds: float
) -> Erasure:
    request = job.request
    read = words.gathered if job.options.edited == "te" else words.prompts
    most = FEW if job.model.text.large else MEASURED
    target, retain = (
        read(held_out(names, request, most=most) or ["", "a photo"])
        for names in (request.wanted, request.retain)
    )
    edits = job.weights.whole(solution.edits)
    effect = measure(job.checkpoint, edits, solution.directions, target=target, retain=retain)
    edits = job.weights.with_copies(edits)
    text = job.model.text
    others = text.vocabulary is not None and text.vocabulary.source != SHIPPED
    gram = second_moment(target).float()
    return Erasure(
        request,
        job.options,
        edits,
        effect,
        gram,
        count,
        seconds,
        vocabulary=text.vocabulary,
        words_sha256=text.words_digest() if others and isinstance(text, ClipEncoder) else None,
        clip_skip=job.model.clip_skip,
        scale=scale,
        processes=job.ranks.count,
        facts=solution.facts,
        erases=solution.erases,
        warnings=solution.warnings,
        notes=(*solution.notes, *_not_edited(job)),
    )


def _not_edited(job: Job) -> tuple[str, ...]:
    """What else of the text reaches pictures, whatever is done to the weights that were edited."""
    family = job.model.family
    return (f"{family.name}: {family.not_edited}",) if family.not_edited else ()
