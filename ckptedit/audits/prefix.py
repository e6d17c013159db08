"""A prefix that brings the concept back: words put before its prompts, found by gradients.

The attack of UnlearnDiffAtk (Zhang et al., ECCV 2024, https://arxiv.org/abs/2310.11868): K tokens p
before the prompt c are sought that make the edited model denoise pictures of the concept,

    min over p of E ‖ε_θ(x_t, [p, c]) - ε‖²,

needing no judge in the search. Then the model draws with the words found, and a judge looks: the
attack success rate, beside the rate without them and the original's.

Departs from it: the words are whole ones of the vocabulary, chosen one place at a time by the
gradient of the loss with respect to the token embeddings (HotFlip, Ebrahimi et al., ACL 2018,
https://arxiv.org/abs/1712.06751; on whole prompts: Wen et al., 2023) and then tried, in place of
projected gradients on a simplex; one prefix is sought for all prompts, on several pictures, and
tried on other noise than it was found on. So it is cheaper, and weaker: what it does not find may
be found.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from ckptedit.audits.drawn import Drawn, cells, draw, drawn, noised, share_seen
from ckptedit.audits.probe import Bound, Finding, Probe
from ckptedit.audits.subject import Subject
from ckptedit.diffusion import Model
from ckptedit.errors import BadParam
from ckptedit.params import Within
from ckptedit.progress import Track
from ckptedit.subspaces.wordlist import whole_words
from ckptedit.text.clip import ClipEncoder
from ckptedit.text.condition import Condition
from ckptedit.text.load import load_text_encoder

TIMES = (0.3, 0.5, 0.7, 0.9)  # of the schedule, at which a prompt is tried


class Prefix(Probe):
    """The best words to put before the concept's prompts, and what is drawn with them."""

    by = "words"
    runs = True
    judged = True
    bounds: ClassVar[Mapping[str, Bound]] = {"max_attack": Bound("success", share=True)}

    def __init__(
        self,
        *,
        words: Annotated[int, Within("[1, 16]"), "K, put before the prompt"] = 3,
        rounds: Annotated[int, Within("[1, inf)"), "each changes one word, or none"] = 12,
        tried: Annotated[int, Within("[1, inf)"), "words a round, those the gradient likes"] = 16,
        pictures: Annotated[int, Within("[1, inf)"), "that it is sought on"] = 4,
        asked: Annotated[int, Within("[1, inf)"), "pictures drawn with it"] = 12,
    ) -> None:
        self.words, self.rounds, self.tried = words, rounds, tried
        self.pictures, self.asked = pictures, asked

    def run(self, subject: Subject, track: Track) -> Finding:
        seen = drawn(subject, self.pictures, track)
        search = _search(subject, seen, self.words)
        found, losses = self._sought(search, subject.seed, track)
        text = " ".join(search.words[i] for i in found)
        wanted = cells(subject, self.asked, first=1000)
        success, plain, whole = (
            share_seen(subject, wanted, draw(model, wanted, prefix=prefix, track=track))
            for model, prefix in (
                (subject.model, text), (subject.model, ""), (subject.teacher, "")
            )
        )  # fmt: skip
        figures = {
            "success": success, "plain": plain, "original": whole, "prefix": text,
            "loss": losses[-1], "loss_without": search.without(), "tried": search.count,
        }  # fmt: skip
        says = (
            f"with {text!r} before it, seen in {success:.0%} of pictures, without in {plain:.0%} "
            f"(original {whole:.0%})"
        )
        best = max(success, plain)
        left = min(best / whole, 1.0) if whole else None
        return Finding(left, says, figures, [{"round": i, "loss": x} for i, x in enumerate(losses)])

    def _sought(self, search: "_Search", seed: int, track: Track) -> tuple[list[int], list[float]]:
        """The words, by their places in the list, and the loss after each round."""
        rng = torch.Generator().manual_seed(seed)
        best = torch.randint(len(search.words), (self.words,), generator=rng).tolist()
        least, losses = search.loss(best), []
        losses.append(least)
        for round_ in track(range(self.rounds), "seeking words"):
            place = round_ % self.words
            for word in search.likely(best, place, self.tried):
                one = [*best[:place], word, *best[place + 1 :]]
                if (loss := search.loss(one)) < least:
                    least, best = loss, one
            losses.append(least)
        return best, losses


@dataclass
class _Search:
    """Prompts with words before them, tried on moments of denoising the concept's pictures.

    encoder: holds its layers, since gradients pass them
    words: whole ones, tokens [v] their numbers; ids: [n, L] the prompts without a prefix
    states, noise: [n, c, h, w]; t: [n]; count: how many prefixes were tried
    """

    model: Model
    encoder: ClipEncoder
    words: Sequence[str]
    tokens: Tensor
    ids: Tensor
    states: Tensor
    noise: Tensor
    t: Tensor
    count: int = 0

    @torch.no_grad()
    def loss(self, prefix: Sequence[int]) -> float:
        """Of denoising with a prefix, by places in the list."""
        self.count += 1
        return float(self._loss(self.encoder.condition(self._with(prefix))))

    @torch.no_grad()
    def without(self) -> float:
        return float(self._loss(self.encoder.condition(self.ids)))

    def likely(self, prefix: Sequence[int], place: int, count: int) -> list[int]:
        """Words that the gradient says would lower the loss most at a place of the prefix."""
        encoder, ids = self.encoder, self._with(prefix)
        with torch.enable_grad(), _watched(encoder, ids.shape) as shifts:
            loss = self._loss(encoder.condition(ids))
            slopes = torch.autograd.grad(loss, shifts)
        score = torch.zeros(len(self.tokens), device=ids.device)
        for tower, slope in zip(encoder.towers, slopes, strict=True):
            transformer: Any = tower.transformer
            rows = transformer.get_input_embeddings().weight
            score += rows[self.tokens].float() @ slope[:, 1 + place].sum(0).float()
        return [int(i) for i in score.argsort(stable=True)[:count]]

    def _with(self, prefix: Sequence[int]) -> Tensor:
        """The prompts with words after the token that begins a text; padding makes room."""
        put = self.tokens[torch.tensor(prefix, device=self.tokens.device)]
        rows = put.expand(len(self.ids), -1)
        kept = self.ids[:, 1 : self.ids.shape[1] - len(prefix)]
        return torch.cat([self.ids[:, :1], rows, kept], dim=1)

    def _loss(self, read: Condition) -> Tensor:
        """read: what the denoiser reads of each prompt"""
        total = torch.zeros((), device=self.states.device)
        for rows in torch.arange(len(self.states)).split(self.model.batch):
            with self.model.autocast():
                text = read[rows.to(self.states.device)]
                seen = self.model.denoiser(self.states[rows], self.t[rows], text)
            total = total + (seen.float() - self.noise[rows]).square().sum()
        return total / self.noise.numel()


def _search(subject: Subject, seen: Drawn, count: int) -> _Search:
    """count: of words to make room for. Raises BadParam if there is none."""
    model = subject.model
    encoder = load_text_encoder(
        subject.checkpoint, subject.family, **subject.reading, streamed=False
    ).to(model.device)
    ids, lengths = encoder.pad(seen.prompts)
    words = whole_words(encoder)
    tokens = [encoder.tokens(word)[0] for word in words]
    if int(lengths.max()) + count > encoder.max_length:
        raise BadParam(
            f"its prompts have up to {int(lengths.max()) - 2} tokens, and the encoder takes "
            f"{encoder.max_length - 2}: there is no room for {count} words before them"
        )
    times = [int(at * model.schedule.timesteps) for at in TIMES]
    parts = [noised(model.schedule, seen.latents, t, "prefix") for t in times]
    there = model.device
    return _Search(
        model, encoder, words, torch.tensor(tokens, device=there), ids.repeat(len(times), 1),
        torch.cat([states for states, _ in parts]).to(there),
        torch.cat([noise for _, noise in parts]).to(there),
        torch.tensor(times).repeat_interleave(len(seen.cells)).to(there),
    )  # fmt: skip


@contextmanager
def _watched(encoder: ClipEncoder, shape: Sequence[int]) -> Iterator[list[Tensor]]:
    """Yields, for each tower, zeros [n, L, d] that are added to its token embeddings."""
    shifts, hooks = [], []
    for tower in encoder.towers:
        transformer: Any = tower.transformer
        rows = transformer.get_input_embeddings()
        shift = torch.zeros(*shape, rows.weight.shape[1], device=encoder.device, requires_grad=True)
        shifts.append(shift)
        hooks.append(rows.register_forward_hook(lambda m, given, out, s=shift: out + s))
    try:
        yield shifts
    finally:
        for hook in hooks:
            hook.remove()
