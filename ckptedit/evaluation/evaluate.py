"""UA, RA-I and RA-C: is what was erased gone, and is the rest still there?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ckptedit.concepts.targets import erased as targets_of
from ckptedit.diffusion import choose_threads, noises_for, open_model, sample, threads
from ckptedit.errors import BadParam
from ckptedit.evaluation.judge import Verdict
from ckptedit.evaluation.suite import Cell, Suite, plan
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
    As in UnlearnCanvas (Zhang et al., 2024, https://arxiv.org/abs/2402.11846).
    """

    ua: float | None
    ra_i: float | None
    ra_i_shown: float | None
    ra_i_unseen: float | None
    ra_c: float | None
    per_concept: list[ConceptScore]
    n: int


@dataclass(frozen=True)
class Drawn:
    """A picture that was asked for, and what the judge sees in it."""

    cell: Cell
    style: str
    object: str

    def shows(self, kind: str) -> bool:
        return bool(getattr(self, kind) == getattr(self.cell, kind))


def evaluate(
    checkpoint: Checkpoint | str | Path,
    *,
    erased: Sequence[str] | None = None,
    retain: Sequence[str] = (),
    seeds: int = 1,
    companions: int = 10,
    steps: int = 16,
    device: str = "auto",
    track: Track = silent,
) -> Scores:
    """Draws the suite and asks the judge.

    erased: default: what the checkpoint's ledger says; retain: default: all else the judge knows
    Raises BadParam if no judge knows this family's world.
    """
    opened = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    model = open_model(opened, device=device)
    if model.family.name != "mini":
        raise BadParam(f"no judge ships for {model.family.name}; one does for mini")
    judge = Verdict()
    shown = {str(word).lower() for line in opened.ledger for word in line.get("retain", [])}
    gone = [t.concept for t in targets_of(opened.ledger)] if erased is None else list(erased)
    suite = plan(gone, retain, judge.styles, judge.objects, companions=companions, seeds=seeds)
    cells = suite.cells()
    if not cells:
        raise BadParam("nothing is left to draw: every style or every object is erased")
    with threads(choose_threads(model.unet)):
        noise = noises_for(model.latent_shape, [cell.key for cell in cells])
        prompts = [cell.prompt for cell in cells]
        pictures = sample(model, prompts, noise=noise, steps=steps, track=track)
        seen = zip(cells, *judge(pictures), strict=True)
    return score([Drawn(*row) for row in seen], suite, shown)


def score(drawn: Sequence[Drawn], suite: Suite, shown: set[str]) -> Scores:
    """Counts. shown: retained concepts that a guard was told of, in lower case."""
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
        per_concept=per_concept,
        n=len(drawn),
    )


def _role(name: str, suite: Suite, shown: set[str]) -> str:
    if name in suite.erased:
        return "erased"
    return "shown" if name.lower() in shown else "unseen"


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


def _share(hits: Iterable[bool]) -> float | None:
    counted = list(hits)
    return sum(counted) / len(counted) if counted else None
