"""What an erasure leaves alone, as one second moment: R of `balanced`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ckptedit.concepts.names import distinct
from ckptedit.concepts.neighbors import SYNONYM, concept_embeddings, readable, without
from ckptedit.concepts.request import Request
from ckptedit.concepts.templates import KINDS, OTHER, TRAIN_FRAMES, prompts_for
from ckptedit.subspaces.crowd import lexicon_in_sentences, vocabulary_in_slot
from ckptedit.subspaces.subspace import second_moment
from ckptedit.subspaces.wordlist import whole_words, word_embeddings
from ckptedit.subspaces.words import Words
from ckptedit.text.clip import ClipEncoder

CANDIDATES = 4000  # words among which those moved most are looked for, the most frequent
SPARE = 8  # of them, for each target, in case they name it
ALONE, ACCOMPANIED = 2, 2  # sentences of a word that is moved, and of a concept that is retained

Map = tuple[Tensor, Tensor]  # D, and the metric Σ Wᵀ W of the weights that it is for


@dataclass(frozen=True)
class Stays:
    """The moments of what stays, each a mean over all tokens of its prompts.

    shares: of "vocabulary", "lexicon" and "mined" in R, whatever their sum
    count:  of words to mine
    """

    words: Words
    request: Request
    shares: Mapping[str, float]
    count: int

    def told(self, mined: Sequence[str] = ()) -> Tensor:
        """R [d, d] float64: a weighted mean of the moments. mined: words that are to stay, too"""
        parts = {"vocabulary": self._vocabulary(), "lexicon": self._lexicon()}
        if mined:
            kinds = self._kinds
            of_each = [(name, kinds[i % len(kinds)]) for i, name in enumerate(mined)]
            parts["mined"] = self._sentences(of_each)
        whole = sum(self.shares[name] for name in parts)
        return torch.stack([self.shares[n] / whole * part for n, part in parts.items()]).sum(0)

    def most_moved(self, maps: Mapping[str, Map]) -> list[str]:
        """The words whose last and end tokens the maps move most, against their own length."""
        encoder, gone = self.words.encoder, self._gone
        spelled = isinstance(encoder, ClipEncoder)
        words = whole_words(encoder) if spelled else readable(encoder, self.words.lexicon)
        known = words[:CANDIDATES]
        tokens = word_embeddings(encoder, known, track=self.words.track).double()  # [n, 2, d]
        moved = torch.stack([_relative(tokens, *each) for each in maps.values()]).sum(0)
        ends = normalize(tokens[:, 1], dim=1)
        named = normalize(concept_embeddings(encoder, gone).double().cpu(), dim=1)
        moved[(ends @ named.T).amax(1) > SYNONYM] = 0  # another name of what is erased
        ranked = [known[i] for i in moved.argsort(descending=True, stable=True)]
        return without(encoder, ranked[: self.count + SPARE * len(gone)], gone)[: self.count]

    @property
    def _gone(self) -> list[str]:
        return [target.concept for target in self.request.targets]

    @property
    def _kinds(self) -> list[str]:
        """The kinds of the targets."""
        kinds = {target.kind for target in self.request.targets}
        return [kind for kind in KINDS if kind in kinds]

    def _vocabulary(self) -> Tensor:
        """All tokens but those of the targets, in sentences of the targets' kinds."""
        encoder = self.words.encoder
        out = [[token] for concept in self._gone for token in encoder.tokens(concept)]
        found = [
            vocabulary_in_slot(encoder, kind).moment(out, track=self.words.track)
            for kind in self._kinds
        ]
        return torch.stack(found).mean(0)

    def _lexicon(self) -> Tensor:
        """The lexicon but for the targets; in equal parts what must stay most of all: retained
        concepts, the targets' anchors, and what stands for earlier targets by now."""
        encoder, lexicon = self.words.encoder, self.words.lexicon
        anchors = {target.anchor for target in self.request.targets}
        left = without(encoder, lexicon, self._gone)
        out = [name for name in lexicon if name not in left and name not in anchors]
        barred = [encoder.tokens(name) for name in (*self._gone, *out)]
        crowd = lexicon_in_sentences(encoder, lexicon).moment(barred, track=self.words.track)
        named = {kind: list(self.request.retain[kind]) for kind in KINDS}
        for target in (*self.request.targets, *self.request.earlier):
            named[target.kind].append(target.anchor)
        for target in self.request.earlier:
            named[target.kind].append(target.concept)
        kept = self._sentences([(n, kind) for kind in KINDS for n in distinct(named[kind])])
        return (crowd + kept) / 2 if crowd.any() else kept

    def _sentences(self, concepts: Sequence[tuple[str, str]]) -> Tensor:
        """The moment of a few sentences about each concept, given with its kind."""
        prompts: list[str] = []
        for i, (name, kind) in enumerate(concepts):
            prompts += prompts_for(name, kind)[:ALONE]
            company = self.request.companions[OTHER[kind]]
            for step in range(i * ACCOMPANIED, (i + 1) * ACCOMPANIED if company else 0):
                frame = TRAIN_FRAMES[step % len(TRAIN_FRAMES)]
                word = company[step % len(company)]
                prompts += prompts_for(name, kind, [word], frames=[frame])
        fitting = [prompt for prompt in prompts if self.words.encoder.fits(prompt)]
        return second_moment(self.words.prompts(fitting or [""]))


def _relative(tokens: Tensor, change: Tensor, metric: Tensor) -> Tensor:
    """‖W D e‖² / ‖W e‖² of each token, [n, t, d], averaged over t: [n]."""
    moved = tokens @ change.T
    lengths = ((tokens @ metric) * tokens).sum(-1).clamp(min=torch.finfo(torch.float64).tiny)
    return (((moved @ metric) * moved).sum(-1) / lengths).mean(1)
