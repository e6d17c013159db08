"""What an erasure is about to do, and about how much time and memory it will take."""

import sys
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ckptedit.concepts.lexicon import Lexicon
from ckptedit.concepts.prompts import retained_pairs, wanted_pairs
from ckptedit.concepts.request import Request
from ckptedit.concepts.templates import NEUTRAL_FRAME
from ckptedit.diffusion import Model, kv_parameters
from ckptedit.diffusion.fitting import Plan
from ckptedit.diffusion.ranks import ALONE, Ranks
from ckptedit.erasure.bank import SAMPLING_STEPS
from ckptedit.erasure.kv import KVWeights
from ckptedit.erasure.options import Options
from ckptedit.subspaces.crowd import lexicon_in_sentences, vocabulary_in_slot
from ckptedit.subspaces.vocabulary import lexicon_prompts, vocabulary_ids
from ckptedit.text.table import PromptTable

GUIDED = 2  # passes of a solver's step: with the prompt and without it
PROMPTS = 16  # that the text encoder is timed on
QUICK = 0.5  # seconds; a model whose pass takes less is timed on a whole batch, and warm


@dataclass(frozen=True)
class Outlook:
    """What will be done, once everything is resolved.

    passes:  latents that go through the UNet without gradients; steps: of the training
    prompts: that go through the text encoder
    seconds: of computing, on this machine as it is now; more of it may be on disk already
    memory:  bytes at the peak, of the process or, on a GPU, there
    processes: that share the batches; passes are of the first, seconds of the longest way
    plan:    how the training was cut to fit into memory, if it had to be
    """

    request: Request
    options: Options
    device: str
    threads: int
    passes: int
    steps: int
    prompts: int
    seconds: float
    memory: int
    plan: Plan | None = None
    processes: int = 1


@dataclass(frozen=True)
class Costs:
    """Seconds of one pass, of one training step without its guards, and of one prompt.

    held: bytes that a step keeps for its gradients
    """

    a_pass: float = 0.0
    a_step: float = 0.0
    held: int = 0


def look_ahead(
    model: Model,
    lexicon: Lexicon,
    request: Request,
    options: Options,
    weights: KVWeights,
    threads: int,
    ranks: Ranks = ALONE,
) -> Outlook:
    """Counts what there is to compute, and times one of each, by this process."""
    asked = options.asked()
    wants = [want for want in asked if not isinstance(want, str)]
    prompts = len(wanted_pairs(request)) + len(retained_pairs(request))
    if "general" in asked:
        prompts += len(lexicon_prompts(lexicon)) + len(vocabulary_ids(model.text))
    if "slots" in asked:
        kinds = {target.kind for target in request.targets}
        crowds = [lexicon_in_sentences(model.text, lexicon)]
        crowds += [vocabulary_in_slot(model.text, kind) for kind in kinds]
        prompts += sum(len(crowd.ids) for crowd in crowds)
    seconds = prompts * _time_prompt(model)
    passes = steps = extra = 0
    if options.trained:
        rehearsing = sum(want.of == "retained" for want in wants)
        views = sum(1 + len(want.views) for want in wants)
        passes = options.pictures * (len(wants) * GUIDED * SAMPLING_STEPS + views * options.moments)
        steps = options.steps
        costs = _time_unet(model, list(weights), ranks.share_of(options.batch))
        seconds += passes * costs.a_pass + steps * (1 + rehearsing) * costs.a_step
        moving = sum(4 * weights.checkpoint[name].numel for name in weights)
        extra = costs.held + 4 * moving + _banks(model, options, len(wants), views)
    return Outlook(
        request,
        options,
        str(model.device),
        threads,
        passes=passes,
        steps=steps,
        prompts=prompts,
        seconds=seconds,
        memory=_in_use(model) + extra,
        plan=model.plan,
        processes=ranks.count,
    )


def _time_prompt(model: Model) -> float:
    if isinstance(model.text, PromptTable):  # each prompt is read once, and kept
        told = list(model.text.stock([NEUTRAL_FRAME]))[:PROMPTS]
        return _seconds(model, lambda: model.text.encode(told)) / len(told)
    large = model.text.large  # and timed once: each prompt takes a second of it
    some = ["a picture of something"] * (PROMPTS // 2 if large else PROMPTS)
    times = 1 if large else 2
    return min(_seconds(model, lambda: model.text.encode(some)) for _ in range(times)) / len(some)


def _time_unet(model: Model, names: list[str], batch: int) -> Costs:
    """Times the UNet on nothing in particular; leaves it, and all generators, as they were."""
    parameters = list(kv_parameters(model.unet, names).values())
    frozen = [parameter.requires_grad for parameter in model.unet.parameters()]
    model.unet.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    held: dict[int, int] = {}

    weights = {weight.untyped_storage().data_ptr() for weight in model.unet.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()
        if place.data_ptr() not in weights:
            held[place.data_ptr()] = place.nbytes()
        return tensor

    def draw(rows: int) -> None:
        with torch.no_grad():
            _denoise(model, rows)

    def learn(rows: int) -> None:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = _denoise(model, rows).square().mean()
        torch.autograd.grad(loss, parameters)

    at_once = min(batch, model.plan.rows if model.plan else batch)
    rows, drawn = 1, min(batch, model.batch)
    a_pass = _seconds(model, lambda: draw(1))
    if a_pass < QUICK:
        rows, a_pass = at_once, min(_seconds(model, lambda: draw(drawn)) for _ in range(2)) / drawn
    held.clear()
    a_step = _seconds(model, lambda: learn(rows)) * batch / rows
    a_step += a_pass * batch if at_once < batch else 0  # passes are computed anew
    for parameter, was in zip(model.unet.parameters(), frozen, strict=True):
        parameter.requires_grad_(was)
    return Costs(a_pass, a_step, sum(held.values()) * at_once // rows)


def _denoise(model: Model, rows: int) -> Tensor:
    latents = torch.zeros(rows, *model.latent_shape, device=model.device)
    t = torch.full((rows,), model.schedule.timesteps // 2, device=model.device)
    text = model.text.encode([""]).condition.repeat(rows)
    with model.autocast():
        return model.denoiser(latents, t, text).float()


def _seconds(model: Model, work: Any) -> float:
    began = perf_counter()
    work()
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return perf_counter() - began


def _banks(model: Model, options: Options, banks: int, views: int) -> int:
    """Bytes of banks: latents and their noise, predictions, and the two texts of each moment."""
    text = model.text.max_length * model.text.width
    latent = torch.Size(model.latent_shape).numel()
    each = banks * 2 * (latent + text) + views * latent
    return 4 * options.pictures * options.moments * each


def _in_use(model: Model) -> int:
    """Bytes that the process, or the GPU, has taken so far."""
    if model.device.type == "cuda":
        return torch.cuda.max_memory_allocated(model.device)
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
