"""Erasing by training: an objective under guards, on a bank of the model's own latents."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils.checkpoint import checkpoint

from ckptedit.concepts.request import Request
from ckptedit.diffusion import Model, kv_parameters
from ckptedit.diffusion.attention import watched
from ckptedit.diffusion.moments import Moments, Want
from ckptedit.diffusion.ranks import ALONE, Ranks, Share
from ckptedit.erasure.bank import bank
from ckptedit.erasure.memory import FORGETFUL, Memory
from ckptedit.erasure.method import Edits, Method, Solution
from ckptedit.erasure.options import Options
from ckptedit.erasure.outside import Outside, edits_outside
from ckptedit.erasure.reading import read, shared
from ckptedit.erasure.train import train
from ckptedit.errors import BadParam
from ckptedit.guards.guard import Guard, Setting
from ckptedit.subspaces.words import Words


class Trained(Method):
    """The objective and the guards of `options`, in the one training loop."""

    needs_model = True

    def __init__(
        self,
        options: Options,
        memory: Memory = FORGETFUL,
        original: Mapping[str, Tensor] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """original: name -> W before all edits, if what is in use needs it; ranks: as in `train`"""
        self.options, self.memory, self.original = options, memory, original
        self.ranks = ranks

    def solve(
        self,
        request: Request,
        words: Words,
        weights: Mapping[str, Tensor],
        *,
        model: Model | None = None,
    ) -> Solution:
        if model is None:
            raise BadParam(f"{self.options.method} trains, and needs the model")
        options = self.options
        parameters = kv_parameters(model.unet, list(weights))
        model.unet.requires_grad_(False)
        share = Share(self.ranks)
        setting = self._setting(request, words, model, parameters, share)
        for parameter in parameters.values():
            parameter.requires_grad_(True)

        def settled() -> None:
            share.begin()
            model.rest()

        guards: list[Guard] = [options.make(guard) for guard in options.guarded_by]
        guards += [Outside(options.basis)] if options.basis else []
        return train(
            options.make(options.method),
            guards,
            setting,
            lr=options.lr,
            seed=options.seed,
            clip=options.clip,
            initial=self._initial(request, words, weights),
            memory=self.memory,
            settled=settled,
            aside=bool(model.plan and model.plan.offload),
            ranks=self.ranks,
            track=words.track,
        )

    def _initial(
        self, request: Request, words: Words, weights: Mapping[str, Tensor]
    ) -> Edits | None:
        """The edit of the closed form to start from, if one is named."""
        if self.options.init is None:
            return None
        form: Method = self.options.make(self.options.init)
        edits = form.solve(request, words, weights).edits
        return edits_outside(edits, self.options.basis) if self.options.basis else edits

    def _setting(
        self,
        request: Request,
        words: Words,
        model: Model,
        parameters: Mapping[str, Parameter],
        share: Share,
    ) -> Setting:
        reading, wanted, kept = read(request, words, self.options.tokens)
        size = {name: getattr(self.options, name) for name in ("pictures", "moments", "seed")}
        pairs = {"targets": wanted, "retained": kept}

        # banks are filled before the first step: the frozen model is the one in training
        def filled(want: Want) -> Moments:
            return bank(model, pairs[want.of], want=want, **size, track=words.track)

        return Setting(
            **shared(reading),
            weights=parameters,
            moments=cache(filled),
            student=lambda moments: share(lambda own: [predict(model, own)], moments)[0],
            looks=lambda moments: share(lambda own: looks(model, own), moments),
            schedule=model.schedule,
            batch=self.options.batch,
            steps=self.options.steps,
            original=self.original,
            concepts=[target.concept for target in request.targets],
        )


def predict(model: Model, moments: Moments) -> Tensor:
    """What the model sees at these moments, [b, c, h, w] float32, in the precision of its Model.

    By a plan that cuts it, in as many passes as that takes; each is computed anew when its gradient
    is wanted, so that never more than one keeps anything for it.
    """
    rows = model.plan.rows if model.plan else len(moments)
    if len(moments) <= rows:
        return _seen(model, moments)
    return torch.cat([_anew(model, part) for part in moments.split(rows)])


def _anew(model: Model, moments: Moments) -> Tensor:
    seen: Tensor = checkpoint(_seen, model, moments, use_reentrant=False)
    return seen


def _seen(model: Model, moments: Moments) -> Tensor:
    with model.autocast():
        return model.denoiser(moments.latents, moments.t, moments.text).float()


def looks(model: Model, moments: Moments) -> list[Tensor]:
    """Where each layer that reads the text looks in it, [b, heads, pixels, L] float32."""
    with watched(model.unet) as seen:
        _seen(model, moments)
    return seen
