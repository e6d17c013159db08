"""UA, RA-I and RA-C: is what was erased gone, and is the rest still there?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ckptedit.concepts.lists import one_or_more
from ckptedit.concepts.names import normal
from ckptedit.concepts.private import require_revealed, stands_for
from ckptedit.concepts.targets import erased as targets_of
from ckptedit.diffusion import choose_threads, noises_for, open_model, sample, threads
from ckptedit.errors import BadParam
from ckptedit.evaluation import JUDGES, TOWERS
from ckptedit.evaluation.suite import Cell, Suite, plan
from ckptedit.evaluation.world import world_of
from ckptedit.families.vocabulary import Vocabulary
from ckptedit.files import Checkpoint
from ckptedit.progress import Track, silent


@dataclass(frozen=True)
class ConceptScore:
    """accuracy: share of the concept's n pictures in which the judge sees it."""

    concept: str
    kind: str
    role: str  # "erased", "shown" (retained, and a guard was told of it) or "unseen" (retained)
    accuracy: float
    n: int


@dataclass(frozen=True)
class Scores:
    """Shares in 0..1, None where there is nothing to count.

    ua:   of the erased concepts' pictures, those without the concept (unlearning accuracy)
    ra_i: of retained concepts of the same kind, those with it (retain accuracy, in-domain), and the
          same for those that a guard was shown and those it was not
    ra_c: of all pictures of a retained concept of the other kind, those with it (cross-domain)
    clip_erased, clip_retained: mean cosine in -1..1 of a picture and its prompt, where the prompt
          names an erased concept, and where it does not
    As in UnlearnCanvas (Zhang et al., 2024, https://arxiv.org/abs/2402.11846).
    """

    ua: float | None
    ra_i: float | None
    ra_i_shown: float | None
    ra_i_unseen: float | None
    ra_c: float | None
    clip_erased: float | None
    clip_retained: float | None
    per_concept: list[ConceptScore]
    n: int


@dataclass(frozen=True)
class Drawn:
    """A picture that was asked for, what the judge sees in it, and how well it fits its prompt."""

    cell: Cell
    style: str
    object: str
    fit: float  # cosine

    def shows(self, kind: str) -> bool:
        return bool(getattr(self, kind) == getattr(self.cell, kind))


def evaluate(
    checkpoint: Checkpoint | str | Path,
    *,
    erased: str | Sequence[str] | None = None,
    retain: str | Sequence[str] = (),
    seeds: int = 1,
    companions: int = 10,
    steps: int = 16,
    device: str = "auto",
    tokenizer: str | Path | Vocabulary | None = None,
    clip_skip: int | None = None,
    track: Track = silent,
) -> Scores:
    """Draws the suite and asks the judge.

    erased: default: what the checkpoint's ledger says; retain: default: all else the judge knows
    tokenizer, clip_skip: as in `open_model`
    Raises BadParam if no judge knows the world of this family's pictures.
    """
    opened = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    world = world_of(opened)
    judge = JUDGES[world]()
    told = [str(word) for line in opened.ledger for word in line.get("retain", [])]
    known = [*judge.styles, *judge.objects]
    shown = {normal(name) for name in known for text in told if stands_for(text, name)}
    if erased is None:
        gone: Sequence[str] = [target.concept for target in targets_of(opened.ledger)]
        require_revealed(gone, "--erased")
    else:
        gone = one_or_more(erased)
    kept = one_or_more(retain)
    suite = plan(gone, kept, judge.styles, judge.objects, companions=companions, seeds=seeds)
    cells = suite.cells()
    if not cells:
        raise BadParam("nothing is left to draw: every style or every object is erased")
    model = open_model(opened, device=device, tokenizer=tokenizer, clip_skip=clip_skip)
    with threads(choose_threads(model.unet)):
        noise = noises_for(model.latent_shape, [cell.key for cell in cells])
        prompts = [cell.prompt for cell in cells]
        pictures = sample(model, prompts, noise=noise, steps=steps, track=track)
        fit = TOWERS[world](model.text)(prompts, pictures)
        seen = zip(cells, *judge(pictures), fit, strict=True)
    return score([Drawn(*row) for row in seen], suite, shown)


def score(drawn: Sequence[Drawn], suite: Suite, shown: set[str]) -> Scores:
    """Counts. shown: retained concepts that a guard was told of, in normal form."""
    kinds = {"style": suite.styles, "object": suite.objects}
    edited = [kind for kind, names in kinds.items() if set(names) & set(suite.erased)]
    per_concept = []
    for kind, names in kinds.items():
        for name in names:
            pictures = _of(drawn, kind, name, suite.erased)
            role = _role(name, suite, shown)
            accuracy = _share(d.shows(kind) for d in pictures)
            if accuracy is not None:
                per_concept.append(ConceptScore(name, kind, role, accuracy, len(pictures)))

    def mean(roles: Iterable[str]) -> float | None:
        rows = [s for s in per_concept if s.role in roles and s.kind in (edited or kinds)]
        return sum(s.accuracy for s in rows) / len(rows) if rows else None

    kept = mean(("erased",))
    return Scores(
        ua=None if kept is None else 1 - kept,
        ra_i=mean(("shown", "unseen")),
        ra_i_shown=mean(("shown",)),
        ra_i_unseen=mean(("unseen",)),
        ra_c=_cross(drawn, suite, edited),
        clip_erased=_mean(d.fit for d in drawn if _names_erased(d.cell, suite)),
        clip_retained=_mean(d.fit for d in drawn if not _names_erased(d.cell, suite)),
        per_concept=per_concept,
        n=len(drawn),
    )


def _role(name: str, suite: Suite, shown: set[str]) -> str:
    if name in suite.erased:
        return "erased"
    return "shown" if normal(name) in shown else "unseen"


def _of(drawn: Sequence[Drawn], kind: str, name: str, erased: Sequence[str]) -> list[Drawn]:
    """The pictures of a concept beside a companion that is not erased."""
    other = "object" if kind == "style" else "style"
    return [
        d for d in drawn if getattr(d.cell, kind) == name and getattr(d.cell, other) not in erased
    ]


def _cross(drawn: Sequence[Drawn], suite: Suite, edited: Sequence[str]) -> float | None:
    """Accuracy of the head that is not about what was erased, erased prompts included."""
    heads = [{"style": "object", "object": "style"}[kind] for kind in edited]
    return _share(
        d.shows(head) for head in heads for d in drawn if getattr(d.cell, head) not in suite.erased
    )


def _names_erased(cell: Cell, suite: Suite) -> bool:
    return cell.style in suite.erased or cell.object in suite.erased


def _share(hits: Iterable[bool]) -> float | None:
    return _mean(map(float, hits))


def _mean(values: Iterable[float]) -> float | None:
    counted = list(values)
    return sum(counted) / len(counted) if counted else None
