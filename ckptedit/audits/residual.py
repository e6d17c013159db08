"""What an edit left between a concept and its anchor, however it is asked for.

With W the keys' and values' weights before the edit and W' after it, e the tokens of a prompt that
names the concept and a those of the same prompt about the anchor, from the concept's first token to
the last padding,

    residual = ‖W' e - W a‖ / ‖W e - W a‖

is 1 where nothing was erased and 0 where the one has become the other. It is the objective that
closed forms minimise (UCE, Gandikota et al., WACV 2024, https://arxiv.org/abs/2308.14761, equation
7), here on prompts that no method is built from. An edit that goes elsewhere than to its anchor has
a large residual, too, so beside it stands what is left of the concept itself. With o the same
prompts about other concepts of the kind, all means at the end of the text and the padding after it,
and δ the mean of e - o of the plain name,

    before = ⟨W (e - o), W δ⟩ / ‖W δ‖²,  left = ⟨W' e - W o, W δ⟩ / ‖W δ‖²

is how much of the concept a way of asking said, and says now: 0 as much as any other name, 1 all of
it. A misspelling that said little of it to begin with has nothing to answer for: what was below
`meant` is shown, and not counted.

Keys say where a picture takes from a prompt, values what: it takes both to draw a concept. So each
is measured on its own, and what counts is the smaller one of the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Annotated, Any, ClassVar

from torch import Tensor

from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Products, Subject, dot, ratio
from ckptedit.audits.variants import Variant, variants
from ckptedit.concepts.prompts import Pair
from ckptedit.errors import BadParam
from ckptedit.params import Within
from ckptedit.progress import Track
from ckptedit.subspaces.paired import aligned
from ckptedit.text.encoder import TextEncoder
from ckptedit.text.table import PromptTable


@dataclass(frozen=True)
class Told:
    """Tokens of prompts, [m, d] float64 each, at the same places: by the edited text encoder and by
    the original's, and of the prompt beside each.
    """

    edited: Tensor
    original: Tensor
    beside: Tensor

    def mean(self) -> "Told":
        """[d] each"""
        return Told(self.edited.mean(0), self.original.mean(0), self.beside.mean(0))


class Residual(Probe):
    """The distance between concept and anchor, in as many ways of asking as can be spelled."""

    by = "words"
    bounds: ClassVar[Mapping[str, Bound]] = {
        "max_residual": Bound("residual"),
        "max_left": Bound("left", share=True),
    }

    def __init__(
        self,
        *,
        meant: Annotated[
            float, Within("[0, 1]"), "of the concept that a way must have said to be counted"
        ] = 0.5,
    ) -> None:
        self.meant = meant

    def run(self, subject: Subject, track: Track) -> Finding:
        asked = variants(subject.target, subject.company, subject.lexicon, subject.aliases)
        fitting, unread = spelled(subject.encoder, asked)
        if not fitting or fitting[0].way != "sentence":
            raise BadParam(f"no prompt that names {subject.target.concept!r} fits the text encoder")
        plain = told(subject, fitting[0].name, fitting[0].others, "end").mean()
        rows = [self._row(subject, each, plain) for each in track(fitting, "asking in other words")]
        sentence = rows[0]
        rows.sort(key=lambda row: (not row["counts"], -row["left"]))
        counted = [row for row in rows if row["counts"]]
        worst, farthest = counted[0], max(counted, key=lambda row: row["residual"])
        figures = {
            "residual": farthest["residual"], "plain": sentence["residual"],
            "keys": sentence["keys"], "values": sentence["values"], "left": worst["left"],
            "worst": worst["name"], "way": worst["way"], "ways": len(counted), "meant": self.meant,
        }  # fmt: skip
        left = min(max(worst["left"], 0.0), 1.0)
        says = (
            f"{worst['name']!r} ({worst['way']}) still says {left:.0%} of it; residual "
            f"{sentence['residual']:.2f} in plain sentences, at most {farthest['residual']:.2f} in "
            f"{len(counted)} ways of asking"
        )
        return Finding(left, says, figures, rows, unread)

    def _row(self, subject: Subject, variant: Variant, plain: Told) -> dict[str, Any]:
        found = told(subject, variant.name, variant.pairs, "all")
        end = told(subject, variant.name, variant.others, "end").mean()
        residual: dict[str, float] = {}
        says: list[tuple[float, float]] = []
        for role, products in subject.products.items():
            gone = products.apart(found.edited, found.beside)
            residual[role] = ratio(gone, products.between(found.original, found.beside))
            says.append(said(products, end, plain))
        if not all(map(isfinite, residual.values())):
            raise BadParam(
                f"to these weights {variant.name!r} and the anchor {subject.target.anchor!r} are "
                "one thing: name another --anchor"
            )
        before, left = min(says, key=lambda both: both[1])
        return {
            "name": variant.name, "way": variant.way, "before": before,
            "left": left, "residual": min(residual.values()),
            "keys": residual.get("k"), "values": residual.get("v"),
            "counts": before >= self.meant, "prompts": len(variant.pairs),
            "prompt": variant.pairs[0].prompt,
        }  # fmt: skip


def told(subject: Subject, name: str, pairs: Sequence[Pair], positions: str) -> Told:
    """What the weights read of prompts that hold a name. positions: as in `aligned`"""
    original, beside = aligned(subject.encoder, name, pairs, positions=positions)
    edited = original
    if subject.edited is not subject.encoder:
        edited = aligned(subject.edited, name, pairs, positions=positions)[0]
    return Told(edited, original, beside)


def said(products: Products, mean: Told, plain: Told) -> tuple[float, float]:
    """How much of the concept a way of asking said before the edit, and says after it.

    mean, plain: means [d] over prompts of that way and of the plain name, beside other concepts
    """
    along = plain.original - plain.beside  # δ
    whole = dot(along, products.before, along)
    others = dot(mean.beside, products.before, along)
    before = dot(mean.original, products.before, along) - others
    after = dot(mean.edited, products.cross, along) - others
    return float(before / whole), float(after / whole)


def spelled(encoder: TextEncoder, asked: Sequence[Variant]) -> tuple[list[Variant], list[str]]:
    """The variants with those of their prompts that the encoder takes, and what it does not."""
    found, unread = [], []
    for variant in asked:
        pairs, others = (
            tuple(pair for pair in each if _fits(encoder, pair))
            for each in (variant.pairs, variant.others)
        )
        if pairs and others:
            found.append(replace(variant, pairs=pairs, others=others))
        else:
            unread.append(f"{variant.name!r} ({variant.way}): {_why(encoder, variant)}")
    return found, unread


def _why(encoder: TextEncoder, variant: Variant) -> str:
    """Why none of its sentences can be asked."""
    prompt = variant.pairs[0].prompt
    if isinstance(encoder, PromptTable):
        return f"its sentences have no embeddings, such as {prompt!r}, or run its name into others"
    tokens = len(encoder.tokens(prompt))
    return (
        f"its sentences have {tokens} tokens and more, or run its name into others; the encoder "
        f"takes {encoder.max_length - 2}"
    )


def _fits(encoder: TextEncoder, pair: Pair) -> bool:
    """Whether both prompts fit, and the name stands in its own, token for token."""
    if not (encoder.fits(pair.prompt) and encoder.fits(pair.anchor)):
        return False
    try:
        encoder.positions(pair.prompt, pair.name)
    except BadParam:  # a plural, or a script in which words run together
        return False
    return True
