"""From two checkpoints and a concept to what each probe found."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ckptedit.audits import PROBES
from ckptedit.audits.asked import (
    Kept,
    answers,
    any_runs,
    bounds,
    chosen_probes,
    judging,
    made,
    outcomes,
    running,
)
from ckptedit.audits.pair import original_and_edited
from ckptedit.audits.probe import Finding
from ckptedit.audits.subject import Subject, subject
from ckptedit.audits.target import named, require_original, target_of
from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.names import distinct
from ckptedit.diffusion import choose_threads, threads
from ckptedit.families import detect
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint, require_weights
from ckptedit.params import require_seed
from ckptedit.progress import Track, silent
from ckptedit.text.load import load_text_encoder
from ckptedit.text.outside import read_elsewhere
from ckptedit.text.table import PromptTable


@dataclass(frozen=True)
class Audit:
    """What an audit of one concept found.

    concept, kind, anchor: the target; aliases: other names of it, by the user
    findings: by probe; limits: those that were set
    left_out: probes that `deep` would have asked, and why they were not
    """

    concept: str
    kind: str
    anchor: str
    aliases: tuple[str, ...]
    findings: Mapping[str, Finding]
    limits: tuple[Kept, ...]
    left_out: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every limit is kept; it is, where none is set."""
        return all(each.kept for each in self.limits)

    @property
    def worst(self) -> str | None:
        """The probe by which most of the concept comes back; None if none is about that."""
        told = {name: found.left for name, found in self.findings.items() if found.left is not None}
        return max(told, key=lambda name: told[name]) if told else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "concept": self.concept, "kind": self.kind, "anchor": self.anchor,
            "aliases": list(self.aliases), "passed": self.passed, "worst": self.worst,
            "limits": [asdict(each) for each in self.limits], "left_out": dict(self.left_out),
            "probes": {
                name: {"by": by(name), **found.as_dict()} for name, found in self.findings.items()
            },
        }  # fmt: skip


def by(name: str) -> str:
    """Who could bring a concept back as a probe does."""
    probe: Any = PROBES[name]
    return str(probe.by)


def audit(
    checkpoint: str | Path | Checkpoint,
    concept: str | None = None,
    *,
    original: str | Path | Checkpoint | None = None,
    probes: str | Sequence[str] = (),
    deep: bool = False,
    aliases: str | Sequence[str] = (),
    kind: str = "auto",
    anchor: str = "",
    limits: Mapping[str, float] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    device: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    embeddings: str | Path | Checkpoint | PromptTable | None = None,
    text_encoder: str | Path | None = None,
    track: Track = silent,
) -> Audit:
    """Asks probes whether a concept is gone from an edited checkpoint.

    checkpoint: or a delta, which is then what `original` is with it
    concept:    default: the one that its ledger says is erased
    original:   what it was before the edit; every probe compares with it
    probes:     names of PROBES; none: QUICK; deep: all that this family can answer
    aliases:    other names of the concept
    kind, anchor: default: as the ledger says, else as `erase` would choose
    limits:     by the names of `bounds`, such as {"max_residual": 0.5}; a limit's probe is asked
    params:     probe -> its own keyword arguments
    seed:       of what the probes draw, in 0..2^63-1
    tokenizer, clip_skip: as in `open_model`
    embeddings, text_encoder: as in `erase`, for probes that do not run the model
    Raises BadParam before anything is read if it can be known.
    """
    require_seed(seed)
    held, given = dict(limits or {}), one_or_more(probes)
    chosen = chosen_probes(given, deep, held)
    asked = made(chosen, params or {})
    left_out: dict[str, str] = {}
    needed = [*given, *(bounds()[name][0] for name in held)] if deep else chosen
    answered = partial(answers, needed=needed, left_out=left_out)
    elsewhere = {"embeddings": embeddings, "folder": text_encoder}
    outside = any(each is not None for each in elsewhere.values())
    with original_and_edited(original, checkpoint) as (before, after):
        require_weights(before, after)
        can = partial(running, elsewhere=outside)
        asked = answered({n: partial(can, each, before, after) for n, each in asked.items()})
        gone = named(concept, after)
        require_original(gone, before, after)
        about = about_pair(
            before, after, gone, kind, anchor, aliases=one_or_more(aliases), device=device,
            seed=seed, tokenizer=tokenizer, clip_skip=clip_skip, elsewhere=elsewhere, track=track,
        )  # fmt: skip
        asked = answered({name: partial(judging, each, about) for name, each in asked.items()})
        with threads_for(about) if any_runs(asked) else nullcontext():
            findings = answered({n: partial(each.run, about, track) for n, each in asked.items()})
    told = about.target
    return Audit(
        told.concept, told.kind, told.anchor, about.aliases, findings,
        tuple(outcomes(findings, held)), left_out,
    )  # fmt: skip


def about_pair(
    before: Checkpoint,
    after: Checkpoint,
    concept: str,
    kind: str,
    anchor: str,
    *,
    aliases: Sequence[str],
    device: str,
    seed: int,
    tokenizer: str | Path | Vocabulary | None,
    clip_skip: int | None,
    track: Track,
    elsewhere: Mapping[str, Any] | None = None,
) -> Subject:
    """What every probe is given. Arguments and errors as of `audit`; elsewhere: keywords of
    `read_elsewhere`"""
    family = detect(before)
    lexicon = lexicon_of(family)
    encoder = read_elsewhere(
        before, family, list(lexicon), device=device, **(elsewhere or {})
    ) or load_text_encoder(before, family, tokenizer=tokenizer, clip_skip=clip_skip)
    target = target_of(concept, kind, anchor, after, encoder, lexicon, family)
    others = tuple(name for name in distinct(aliases) if name != target.concept)
    for name in others:
        encoder.require_concept(name)
    return subject(
        target, after, before, family, encoder=encoder, lexicon=lexicon, aliases=others,
        clip_skip=clip_skip, device=device, seed=seed, track=track,
    )  # fmt: skip


def threads_for(about: Subject) -> AbstractContextManager[None]:
    return threads(choose_threads(about.teacher.parameters))
