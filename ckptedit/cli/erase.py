"""`ckptedit erase`: makes a checkpoint forget a concept."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ckptedit import guards
from ckptedit.cli.options import (
    Ckpt,
    Concepts,
    Device,
    Force,
    InPlace,
    Json,
    Output,
    Param,
    Prediction,
    Quiet,
    Seed,
    Strings,
    Tokenizer,
)
from ckptedit.cli.output import as_json, default_output, listed, say, tracker
from ckptedit.erasure.closed_forms import CLOSED_FORMS
from ckptedit.erasure.objectives import DEFAULT, OBJECTIVES
from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS

if TYPE_CHECKING:
    from ckptedit.erasure.erase import Erasure

NONE = "none"  # --guard none: nothing restrains the edit


def erase(
    ckpt: Ckpt,
    concept: Concepts,
    kind: Annotated[str, Option(help="style, object or auto.")] = "auto",
    anchor: Annotated[
        str,
        Option(metavar="NAME", help="What to draw instead; default: a photo, the nearest object."),
    ] = "",
    retain: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help="What must stay, or @file of names; repeatable; default: the neighbors.",
        ),
    ] = None,
    neighbors: Annotated[
        int, Option(metavar="N", min=0, help="Nearest concepts to retain too.")
    ] = 8,
    lexicon: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="Your concepts, [style] and [object] lines; default: the tool's.",
        ),
    ] = None,
    method: Annotated[
        str,
        Option(
            "--method",
            "-m",
            help=f"{', '.join(OBJECTIVES)}: trained; {', '.join(CLOSED_FORMS)}: closed forms.",
        ),
    ] = DEFAULT,
    guard: Annotated[
        Strings,
        Option(
            metavar="NAME",
            help=f"{', '.join(GUARDS)}, none; repeatable; default: "
            f"{', '.join(guards.DEFAULT)} (of a training).",
        ),
    ] = None,
    param: Param = None,
    tokens: Annotated[str, Option(help="What gradproj:hard protects: all, concept.")] = "all",
    steps: Annotated[int | None, Option(metavar="N", help="Training steps; default: 150.")] = None,
    lr: Annotated[
        float | None, Option(metavar="X", help="Learning rate of Adam; default: 0.0005.")
    ] = None,
    batch: Annotated[
        int | None, Option(metavar="N", help="Moments of denoising in a step; default: 16.")
    ] = None,
    pictures: Annotated[
        int | None, Option(metavar="N", help="Drawn to train on, of each sort; default: 40.")
    ] = None,
    seed: Seed = None,
    threads: Annotated[
        int | None,
        Option(metavar="N", min=1, help="Of the processor; default: by the model's size."),
    ] = None,
    resume: Annotated[
        bool, Option("--resume", help="Go on where the same training was interrupted.")
    ] = False,
    prediction: Prediction = "auto",
    device: Device = "auto",
    output: Output = None,
    tokenizer: Tokenizer = None,
    delta: Annotated[
        bool, Option("--delta", help="Write only what changed: <stem>.erase.delta.safetensors.")
    ] = False,
    force: Force = False,
    in_place: InPlace = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a checkpoint forget a concept, and keep its neighbours.

    Fine-tunes the cross-attention keys and values: the concept's prompts learn to draw the anchor.
    Gradient projection confines the change to directions that other prompts do not use;
    distillation holds retained concepts and what was erased before. Several --concept are erased
    together. Prints the path written.

    Example: ckptedit erase base.safetensors --concept "Van Gogh" -o edited.safetensors
    """
    from ckptedit.files import Checkpoint, check_output

    target = output or default_target(ckpt, delta)
    if json and target == "-":
        raise BadParam("--json and -o - both want stdout")
    opened = Checkpoint(ckpt)
    may: dict[str, Any] = {"force": force, "in_place": in_place}
    check_output(target, [opened], **may)  # before torch is imported: a mistake shows at once

    from ckptedit.erasure.erase import erase as run

    numbers = {"steps": steps, "lr": lr, "batch": batch, "pictures": pictures, "seed": seed}
    erasure = run(
        opened, concept, target, kind=kind, anchor=anchor, retain=listed(retain),
        neighbors=neighbors, lexicon=lexicon, tokens=tokens, device=device, threads=threads,
        resume=resume, prediction=prediction, tokenizer=tokenizer, delta=delta,
        track=tracker(quiet), **resolve(method, guard, param, **numbers), **may,
    )  # fmt: skip
    for line in [] if quiet else summary(erasure):
        say(line)
    if target != "-":
        typer.echo(as_json(as_report(erasure, target)) if json else target)


def default_target(ckpt: str, delta: bool) -> str:
    """Where the output goes: a delta is one file, whatever the checkpoint is."""
    if not delta:
        return str(default_output(ckpt, "erase"))
    return str(default_output(ckpt, "erase.delta")).removesuffix(".safetensors") + ".safetensors"


def resolve(method: str, guard: Strings, param: Strings, **given: Any) -> dict[str, Any]:
    """What the user gave of method, guards, their parameters and numbers."""
    from ckptedit.erasure.options import Options, assigned
    from ckptedit.params import assignments

    guards = tuple(dict.fromkeys(name for name in guard if name != NONE)) if guard else None
    in_use = Options(method=method, guards=guards).guarded_by
    params = assigned(assignments(param or ()), method, in_use)
    known = {name: value for name, value in given.items() if value is not None}
    return {"method": method, "guards": guards, "params": params, **known}


def as_report(erasure: "Erasure", output: str) -> dict[str, Any]:
    """The figures under their stable names."""
    request, options, effect = erasure.request, erasure.options, erasure.effect
    held = effect.protection
    return {
        "output": output,
        "sha256": erasure.sha256,
        "concepts": [target.concept for target in request.targets],
        "kind": request.kind,
        "kinds": [target.kind for target in request.targets],
        "anchors": [target.anchor for target in request.targets],
        "retain": list(request.retained),
        "method": options.method,
        "guards": list(options.guarded_by),
        "steps": options.steps if options.trained else 0,
        "seed": options.seed,
        "threads": erasure.threads,
        "seconds": round(erasure.seconds, 3),
        "drift": {"relative": effect.drift},
        "leak": {"float32": held and held.leak, "stored": held and held.stored},
        "coverage": held and held.coverage,
        "room": held and held.room,
        "kv_change": {"retain": effect.retain, "target": effect.target},
    }


def summary(erasure: "Erasure") -> list[str]:
    """What a person wants to know, in a few lines."""
    request, effect = erasure.request, erasure.effect
    held = effect.protection
    names = ", ".join(f"{t.concept!r} ({t.kind}) to {t.anchor!r}" for t in request.targets)
    options = erasure.options
    guards = ", ".join(options.guarded_by) or NONE
    how = f"{options.steps} steps under {guards}" if options.trained else f"by {options.method}"
    lines = [
        f"erased {names} in {erasure.seconds:.0f} s, {how}",
        f"drift {effect.drift:.4f} of the K/V weights; keys and values change by "
        f"{effect.target:.3f} on held-out prompts of the target, "
        f"{effect.retain:.3f} on retained ones",
    ]
    if held:
        lines.append(
            f"leak {held.leak:.1e} (stored {held.stored:.1e}), coverage {held.coverage:.1%}, "
            f"room {held.room:.1%}"
        )
    if held and held.room < LITTLE_ROOM:
        more = _more_room(options.guarded_by)
        lines.append(
            f"warning: only {held.room:.1%} of the target's token energy can be edited; expect it "
            f"to survive. Retain fewer concepts, or {more}"
        )
    return lines


LITTLE_ROOM = 0.03  # of the target's energy; below it, erasures were seen to fail


def _more_room(in_use: Sequence[str]) -> str:
    """What the guards in use say; if they say nothing, the ones that choose their directions."""
    advice = [getattr(GUARDS[name], "more_room", "") for name in in_use]
    return next(filter(None, advice), f"use --guard {guards.DEFAULT[0]}")
