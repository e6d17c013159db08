"""What an erasure leaves alone: R of `balanced`, and the words that it holds one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ckptedit.concepts.names import distinct, normal
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
ALONE, ACCOMPANIED = 2, 2  # sentences of a concept in R
HELD = 6  # with company, of a concept or word that is held: fewer say too little of others

Map = tuple[Tensor, Tensor]  # D, and the metric Σ Wᵀ W of the weights that it is for


@dataclass(frozen=True)
class Stays:
    """The moments of what stays, each a mean over all tokens of its prompts.

    shares: of "vocabulary" and "lexicon" in R, and of "mined" beside it, whatever their sum
    count:  of words to mine
    """

    words: Words
    request: Request
    shares: Mapping[str, float]
    count: int

    def told(self) -> Tensor:
        """R [d, d] float64: a weighted sum of the moments, the mined words' share left out."""
        vocabulary, lexicon = (self.share(name) for name in ("vocabulary", "lexicon"))
        return vocabulary * self._vocabulary() + lexicon * self._lexicon()

    def share(self, name: str) -> float:
        return self.shares[name] / sum(self.shares.values())

    def held(self, mined: Sequence[str]) -> tuple[Tensor, int]:
        """[m, d, d] float32: the moment of each retained concept, then of each mined word, in
        sentences; and how many of these are retained."""
        kinds, retained = self._kinds, self.request.retain
        named = [(name, kind) for kind in kinds for name in retained[kind]]
        out = {normal(name) for name, _ in named}
        words = [word for word in mined if normal(word) not in out]
        firm = len(named)
        named += [(word, kinds[i % len(kinds)]) for i, word in enumerate(words)]
        moments = [
            self._sentences([each], first=i, accompanied=HELD).float()
            for i, each in enumerate(named)
        ]
        width = self.words.encoder.width
        stacked = torch.stack(moments) if moments else torch.zeros(0, width, width)
        return stacked, firm

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
        first = ranked[: self.count + SPARE * len(gone)]
        objects = set(map(normal, self.words.lexicon["object"]))
        own = [word for word in first if normal(word) in objects]
        left = {*without(encoder, first, gone), *without(encoder, own, gone, kind="object")}
        return [word for word in distinct(first) if word in left][: self.count]

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
        left = [n for kind in KINDS for n in without(encoder, lexicon[kind], self._gone, kind=kind)]
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

    def _sentences(
        self, concepts: Sequence[tuple[str, str]], *, first: int = 0, accompanied: int = ACCOMPANIED
    ) -> Tensor:
        """The moment of a few sentences about each concept, given with its kind.

        first: number of the first concept, by which company is chosen; accompanied: with company
        """
        prompts: list[str] = []
        for i, (name, kind) in enumerate(concepts, first):
            prompts += prompts_for(name, kind)[:ALONE]
            company = self.request.companions[OTHER[kind]]
            for step in range(i * accompanied, (i + 1) * accompanied if company else 0):
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
