"""Erasing concepts from a checkpoint: what stands behind `ckptedit erase`."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Generator, Tensor

from ckptedit.concepts.prompts import held_out, retained_pairs, wanted_pairs
from ckptedit.concepts.request import Request, Wish, resolve
from ckptedit.deltas import Made, write_delta
from ckptedit.deltas.change import Dense, LowRank, patched
from ckptedit.diffusion import Model, choose_threads, kv_parameters, open_model, threads
from ckptedit.erasure import OBJECTIVES
from ckptedit.erasure.bank import Rows, fill
from ckptedit.erasure.measure import Edits, Effect, measure
from ckptedit.erasure.options import DEFAULTS, Options, make_guard
from ckptedit.erasure.train import train
from ckptedit.errors import BadParam
from ckptedit.families import detect, kv_weights
from ckptedit.files import Checkpoint, Written, check_output, ledger, write_edited
from ckptedit.guards.guard import Setting
from ckptedit.progress import Track, silent
from ckptedit.subspaces.subspace import second_moment
from ckptedit.subspaces.vocabulary import vocabulary_moment


@dataclass(frozen=True)
class Erasure:
    """What an erasure did.

    edits: K/V name -> its change, unrounded, in the form in which it was made
    gram:  [d, d], mean of e eᵀ over the token embeddings of prompts that name the targets
    """

    request: Request
    options: Options
    edits: Edits
    effect: Effect
    gram: Tensor
    seconds: float

    def ledger_facts(self) -> dict[str, Any]:
        """What later commands read of this edit."""
        return {
            "concepts": [target.concept for target in self.request.targets],
            "targets": [asdict(target) for target in self.request.targets],
            "retain": list(self.request.retained),
        }


def erase(
    checkpoint: Checkpoint | str | Path,
    concepts: Sequence[str],
    output: str | Path,
    *,
    options: Options = DEFAULTS,
    device: str = "auto",
    tokenizer: Path | None = None,
    delta: bool = False,
    force: bool = False,
    in_place: bool = False,
    track: Track = silent,
    **wish: Any,
) -> tuple[Erasure, Written | Made]:
    """Erases concepts and writes the edited checkpoint.

    concepts: one or more of one kind, erased together
    options:  steps, rate, guards and their parameters; see ckptedit.erasure.options
    delta:    writes what changed instead, as a delta file of the unrounded changes
    wish:     kind, anchor, retain, neighbors, lexicon, as in `Wish`
    Raises CkptError for whatever the user can mend; then nothing is written.
    """
    opened = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    check_output(output, [opened], force=force, in_place=in_place)
    result = erase_weights(
        opened,
        Wish(concepts, **wish),
        options=options,
        device=device,
        tokenizer=tokenizer,
        track=track,
    )
    line = ledger.entry(
        "erase",
        options.facts(),
        opened.data_sha256(),
        seed=options.seed,
        **result.ledger_facts(),
    )
    if delta:
        gram = result.gram.float().numpy()
        return result, write_delta(opened, result.edits, output, line=line, gram=gram, force=force)
    edits = {name: partial(_patched, opened, name, change) for name, change in result.edits.items()}
    metadata = ledger.append(opened.metadata, line)
    return result, write_edited(
        output, opened, edits, metadata=metadata, force=force, in_place=in_place
    )


def _patched(base: Checkpoint, name: str, change: LowRank | Dense) -> Any:
    return patched(base.raw(name), base[name], change, 1)


def erase_weights(
    checkpoint: Checkpoint,
    wish: Wish,
    *,
    options: Options = DEFAULTS,
    device: str = "auto",
    tokenizer: Path | None = None,
    track: Track = silent,
) -> Erasure:
    """Computes an erasure without writing anything."""
    options.check()
    began = monotonic()
    names = [weight.name for weight in kv_weights(checkpoint)]
    family = replace(detect(checkpoint), lexicon=wish.lexicon)
    model = open_model(checkpoint, device=device, tokenizer=tokenizer, family=family)
    request = resolve(wish, model.text, model.family, checkpoint.ledger)
    with threads(choose_threads(model.unet)):
        weights = kv_parameters(model.unet, names)
        model.unet.requires_grad_(False)
        for weight in weights.values():
            weight.requires_grad_(True)
        setting, loss_at = prepare(model, request, options, track)
        guards = [make_guard(name, options) for name in options.guards]
        trained = train(
            weights,
            loss_at,
            guards,
            setting,
            steps=options.steps,
            lr=options.lr,
            seed=options.seed,
            track=track,
        )
        return _report(checkpoint, model, request, options, trained, monotonic() - began)


def prepare(
    model: Model, request: Request, options: Options, track: Track
) -> tuple[Setting, Callable[[Generator], Tensor]]:
    """Fills the bank; returns what guards may know, and the loss of a batch."""
    objective = OBJECTIVES[options.objective]
    wanted = wanted_pairs(request)
    kept = retained_pairs(request)
    size = {"pictures": options.pictures, "moments": options.moments, "seed": options.seed}
    rows = fill(model, wanted, **size, track=track)
    again = fill(model, kept, **size, track=track) if "distill" in options.guards else None
    retain = model.text.encode([pair.prompt for pair in kept])
    setting = Setting(
        kind=request.kind,
        target=model.text.encode([pair.prompt for pair in wanted]).hidden,
        retain=retain.hidden,
        keep=_counted(model, request, options, [pair.prompt for pair in kept]),
        general=lambda: vocabulary_moment(model.text, model.family, track=track),
        rehearse=_loss(model, objective, again, options) if again else _nothing_kept,
    )
    return setting, _loss(model, objective, rows, options)


def _loss(
    model: Model, objective: Callable[..., Tensor], rows: Rows, options: Options
) -> Callable[[Generator], Tensor]:
    def at(rng: Generator) -> Tensor:
        with model.autocast():
            return objective(model.denoiser, rows.pick(options.batch, rng))

    return at


def _nothing_kept(rng: Generator) -> Tensor:
    raise BadParam("no bank of retained prompts was filled")


def _counted(model: Model, request: Request, options: Options, prompts: Sequence[str]) -> Tensor:
    """Which positions of the retained prompts are protected: bool [m, L]."""
    length = model.text.max_length
    if options.tokens == "all":
        return torch.ones(len(prompts), length, dtype=torch.bool)
    names = [*request.retained, *(target.concept for target in request.earlier)]
    counted = torch.zeros(len(prompts), length, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        for name in names:
            if name not in prompt:
                continue
            with suppress(BadParam):  # "art" is in "an artwork", but is no word there
                counted[row, model.text.positions(prompt, name)] = True
    return counted


def _report(
    checkpoint: Checkpoint,
    model: Model,
    request: Request,
    options: Options,
    trained: Any,
    seconds: float,
) -> Erasure:
    target, retain = (
        model.text.encode(held_out(names, request) or ["", "a photo"]).hidden
        for names in (request.wanted, request.retain)
    )
    return Erasure(
        request=request,
        options=options,
        edits=trained.edits,
        effect=measure(checkpoint, trained.edits, trained.directions, target=target, retain=retain),
        gram=second_moment(target),
        seconds=seconds,
    )
