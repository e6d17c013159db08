"""What is audited: a concept, a checkpoint before an edit and after it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ckptedit.audits.variants import Company
from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.names import same_name
from ckptedit.concepts.neighbors import without
from ckptedit.concepts.targets import Target
from ckptedit.concepts.templates import OTHER
from ckptedit.diffusion import Model, open_model
from ckptedit.drift.compare import compare
from ckptedit.drift.comparison import Comparison
from ckptedit.erasure.kv import KVWeights
from ckptedit.errors import BadParam, Incompatible
from ckptedit.evaluation.eye import NOBODY, Eye
from ckptedit.evaluation.eyes import eyes_for
from ckptedit.evaluation.suite import World
from ckptedit.evaluation.world import world_for
from ckptedit.families import Family
from ckptedit.families.kv import kv_role
from ckptedit.files import Checkpoint, escape
from ckptedit.progress import Track, silent
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.load import load_text_encoder
from ckptedit.text.table import PromptTable

COMPANIONS = 4  # concepts of the other kind that the target is named beside
OTHERS = 8  # of its own, which stand for what any other name would say


@dataclass(frozen=True)
class Products:
    """Sums over weights W before and W' after an edit, [d, d] float64 each.

    before: Σ WᵀW; after: Σ W'ᵀW'; cross: Σ W'ᵀW
    """

    before: Tensor
    after: Tensor
    cross: Tensor

    def __add__(self, other: "Products") -> "Products":
        return Products(
            self.before + other.before, self.after + other.after, self.cross + other.cross
        )

    def apart(self, edited: Tensor, original: Tensor) -> Tensor:
        """Σ ‖W' e' - W e‖² of rows e' and e, [..., d] each -> [...]"""
        far = dot(edited, self.after, edited) - 2 * dot(edited, self.cross, original)
        return (far + dot(original, self.before, original)).clamp(min=0)

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        """Σ ‖W (e - a)‖² of rows e and a, [..., d] each -> [...]"""
        return dot(one - other, self.before, one - other).clamp(min=0)


def dot(left: Tensor, matrix: Tensor, right: Tensor) -> Tensor:
    """xᵀ M y of rows x and y, [..., d] each -> [...]"""
    return ((left @ matrix) * right).sum(-1)


@dataclass(frozen=True)
class Subject:
    """What every probe is given.

    target: with its kind and anchor; aliases: other names of it, by the user
    encoder: of the original; edited: of the edited checkpoint, the same one where no text encoder
             was edited
    """

    target: Target
    aliases: tuple[str, ...]
    original: Checkpoint
    checkpoint: Checkpoint
    family: Family
    lexicon: Lexicon
    comparison: Comparison
    encoder: TextEncoder
    edited: TextEncoder
    clip_skip: int | None = None
    device: str = "auto"
    seed: int = 0

    @property
    def reading(self) -> dict[str, Any]:
        """How text is read, as `known_words` takes it."""
        if isinstance(self.encoder, PromptTable):
            return {"encoder": self.encoder}
        return {"tokenizer": self.encoder.vocabulary, "clip_skip": self.clip_skip}

    @cached_property
    def teacher(self) -> Model:
        """The original, to run."""
        return open_model(self.original, device=self.device, family=self.family, text=self.encoder)

    @cached_property
    def model(self) -> Model:
        """The edited checkpoint, to run."""
        return open_model(self.checkpoint, device=self.device, family=self.family, text=self.edited)

    @cached_property
    def judge(self) -> Eye:
        """Who looks at this family's pictures. Raises BadParam if nobody can."""
        return eyes_for(self.world, None, NOBODY)[0][0]

    @cached_property
    def world(self) -> World:
        return world_for(self.original)

    @property
    def seen_as(self) -> int:
        """The judge's class of the target. Raises BadParam if it knows no such."""
        known = self.world.styles if self.target.kind == "style" else self.world.objects
        for at, name in enumerate(known):
            if same_name(name, self.target.concept):
                return at
        raise BadParam(
            f"the judge does not know the {self.target.kind} {self.target.concept!r}; it knows: "
            f"{', '.join(known)}"
        )

    @property
    def can_judge(self) -> bool:
        """Whether a judge knows the target."""
        try:
            return self.seen_as >= 0
        except BadParam:
            return False

    @cached_property
    def company(self) -> Company:
        """What it is named beside, and other concepts of its kind, evenly over the lexicon."""
        kind, out = self.target.kind, [*self.names, self.target.anchor]
        beside, others = (
            _spread(without(self.encoder, self.lexicon[each], out), count)
            for each, count in ((OTHER[kind], COMPANIONS), (kind, OTHERS))
        )
        return Company(beside, others or [self.target.anchor])

    @property
    def names(self) -> tuple[str, ...]:
        """Of the target."""
        return (self.target.concept, *self.aliases)

    @cached_property
    def products(self) -> dict[str, Products]:
        """Over the keys, "k", and over the values, "v"; of either, only if there are any.

        Raises Incompatible if the two do not have the same weights.
        """
        before, after = (KVWeights(c, self.family) for c in (self.original, self.checkpoint))
        if list(before) != list(after):
            raise Incompatible(
                f"{self.checkpoint.label} and {self.original.label} do not have the same "
                "cross-attention weights: is --original what it was made of?"
            )
        found: dict[str, Products] = {}
        for key, old in before.items():
            old, new = old.double(), after[key].double()
            each = Products(old.T @ old, new.T @ new, new.T @ old)
            role = before.pieces[key].role or kv_role(key)
            found[role] = found[role] + each if role in found else each
        return found

    @property
    def all_products(self) -> Products:
        """Over keys and values."""
        first, *rest = self.products.values()
        return sum(rest, start=first)


def subject(
    target: Target,
    checkpoint: Checkpoint,
    original: Checkpoint,
    family: Family,
    *,
    encoder: TextEncoder,
    lexicon: Lexicon,
    aliases: tuple[str, ...] = (),
    clip_skip: int | None = None,
    device: str = "auto",
    seed: int = 0,
    track: Track = silent,
) -> Subject:
    """Compares the two, and loads the edited text encoder if there is one."""
    comparison = compare(original, checkpoint, track=track)
    edited = encoder
    if isinstance(encoder, PromptTable):
        _require_same_text(comparison, family)
    elif any(tensor.component == "text" for tensor in comparison.changed):
        edited = load_text_encoder(
            checkpoint, family, tokenizer=encoder.vocabulary, clip_skip=clip_skip
        )
    return Subject(
        target, aliases, original, checkpoint, family, lexicon, comparison, encoder, edited,
        clip_skip, device, seed,
    )  # fmt: skip


def _require_same_text(comparison: Comparison, family: Family) -> None:
    """Raises BadParam if what reads the text was edited, which an encoder from elsewhere is not."""
    ours = family.outside.adapter if family.outside else ()
    for tensor in comparison.changed:
        if tensor.component in ("text", "text2") or (ours and tensor.name.startswith(ours)):
            raise BadParam(
                f"the edit changed {escape(tensor.name)}, which reads the text; prompts that are "
                f"read elsewhere do not show that"
            )


def _spread(names: list[str], count: int) -> list[str]:
    """So many of them, evenly."""
    return [names[i * len(names) // count] for i in range(count)] if names[count:] else names


def ratio(part: Tensor, whole: Tensor) -> float:
    """The ratio of two norms given squares to be summed; nan of nothing."""
    total = float(whole.sum())
    return float((part.sum() / total).clamp(min=0).sqrt()) if total > 0 else torch.nan
