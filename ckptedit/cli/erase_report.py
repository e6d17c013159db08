"""What `ckptedit erase` says of an erasure: for people on stderr, for programs as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ckptedit import guards
from ckptedit.cli.words import as_fact
from ckptedit.guards import GUARDS

if TYPE_CHECKING:
    from ckptedit.concepts.request import Request
    from ckptedit.erasure.job import Erasure
    from ckptedit.erasure.options import Options
    from ckptedit.erasure.outlook import Outlook

NOTHING = "nothing"
LITTLE_ROOM = 0.03  # of the target's energy; below it, erasures were seen to fail


def announced(outlook: "Outlook") -> list[str]:
    """What is about to be done, in a few lines."""
    request, options = outlook.request, outlook.options
    companions = sum(map(len, request.companions.values()))
    return [
        *(f"warning: {note}" for note in request.notes),
        f"erasing {_named(request)}",
        f"retaining {len(request.retained)}: {', '.join(request.retained) or NOTHING}; "
        f"{companions} companions; erased before: {len(request.earlier)}",
        f"{_how(options)}, on {outlook.device} with {outlook.threads} threads{_shared(outlook)}: "
        f"about {outlook.seconds:.0f} s and {outlook.memory / 1e9:.1f} GB, from one of each timed: "
        f"{outlook.prompts} prompts, {outlook.passes} passes of the UNet, {outlook.steps} steps",
        *([f"memory: {outlook.plan}"] if outlook.plan else []),
    ]


def _shared(outlook: "Outlook") -> str:
    return f" in each of {outlook.processes} processes" if outlook.processes > 1 else ""


def _named(request: "Request") -> str:
    return ", ".join(f"{t.concept!r} ({t.kind}) to {t.anchor!r}" for t in request.targets)


def _how(options: "Options") -> str:
    beside = f", outside of {options.basis.label}" if options.basis else ""
    if not options.trained:
        return f"by {options.method}{beside}"
    in_use = ", ".join(options.guarded_by) or "no guard"
    begun = f"{options.init}, then " if options.init else ""
    return f"{begun}{options.method}, {options.steps} steps under {in_use}{beside}"


def _asked(request: "Request", options: "Options") -> dict[str, Any]:
    """What was asked for, and how it is done, under stable names."""
    return {
        "concepts": [target.concept for target in request.targets],
        "kind": request.kind,
        "kinds": [target.kind for target in request.targets],
        "anchors": [target.anchor for target in request.targets],
        "retain": list(request.retained),
        "method": options.method,
        "params": options.edited,
        "init": options.init,
        "guards": list(options.guarded_by),
        "basis": options.basis and options.basis.facts,
        "steps": options.steps if options.trained else 0,
        "seed": options.seed,
    }


def as_plan(outlook: "Outlook", output: str) -> dict[str, Any]:
    """What is about to be done, under stable names."""
    from ckptedit.concepts import KINDS

    request = outlook.request
    return {
        "output": output,
        "dry_run": True,
        **_asked(request, outlook.options),
        "companions": [name for kind in KINDS for name in request.companions[kind]],
        "earlier": [target.concept for target in request.earlier],
        "device": outlook.device,
        "threads": outlook.threads,
        "processes": outlook.processes,
        "estimate": {
            "seconds": round(outlook.seconds, 1),
            "bytes": outlook.memory,
            "prompts": outlook.prompts,
            "passes": outlook.passes,
            "plan": outlook.plan and asdict(outlook.plan),
        },
        "warnings": list(request.notes),
    }


def as_report(erasure: "Erasure", output: str) -> dict[str, Any]:
    """The figures under their stable names."""
    effect = erasure.effect
    held = effect.protection
    return {
        "output": output,
        "sha256": erasure.sha256,
        **_asked(erasure.request, erasure.options),
        "threads": erasure.threads,
        "processes": erasure.processes,
        "tokenizer": as_fact(erasure.vocabulary),
        "clip_skip": erasure.clip_skip,
        "seconds": round(erasure.seconds, 3),
        "drift": {"relative": effect.drift},
        "leak": {"float32": held and held.leak, "stored": held and held.stored},
        "coverage": held and held.coverage,
        "room": held and held.room,
        "kv_change": {"retain": effect.retain, "target": effect.target},
        "scale": erasure.scale,
        "erases": erasure.erases,
        "facts": dict(erasure.facts),
        "warnings": warnings(erasure),
        "notes": list(erasure.notes),
    }


def summary(erasure: "Erasure") -> list[str]:
    """What a person wants to know, in a few lines."""
    request, effect = erasure.request, erasure.effect
    held = effect.protection
    edited, put_out = "the K/V weights", "keys and values change"
    if erasure.options.edited == "te":
        edited = "the text encoder's matrix, which goes with every model that shares the encoder"
        put_out = "what it puts out changes"
    done = "erased" if erasure.erases else "changed"
    lines = [
        f"{done} {_named(request)} in {erasure.seconds:.0f} s, {_how(erasure.options)}",
        f"drift {effect.drift:.4f} of {edited}; {put_out} by {effect.target:.3f} on held-out "
        f"prompts of the target, {effect.retain:.3f} on retained ones",
    ]
    if held:
        lines.append(
            f"leak {held.leak:.1e} (stored {held.stored:.1e}), coverage {held.coverage:.1%}, "
            f"room {held.room:.1%}"
        )
    lines += [*_figures(erasure.facts), *erasure.notes]
    noted = erasure.request.notes  # said before
    late = [warning for warning in warnings(erasure) if warning not in noted]
    return [*lines, *(f"warning: {warning}" for warning in late)]


def _figures(facts: Mapping[str, Any]) -> list[str]:
    """What a method has to say of each target, a line each."""
    return [
        f"{what} of {name!r}: " + ", ".join(f"{key} {x:.3f}" for key, x in figures.items())
        for what, of in facts.items()
        for name, figures in of.items()
    ]


def warnings(erasure: "Erasure") -> list[str]:
    """What was understood otherwise than written, and what is likely to disappoint."""
    found, held = [*erasure.request.notes, *erasure.warnings], erasure.effect.protection
    if held and held.room < LITTLE_ROOM:
        more = _more_room(erasure.options.guarded_by)
        found.append(
            f"only {held.room:.1%} of the target's token energy can be edited; expect it to "
            f"survive. Retain fewer concepts, or {more}"
        )
    return found


def _more_room(in_use: Sequence[str]) -> str:
    """What the guards in use say; if they say nothing, the ones that choose their directions."""
    advice = [getattr(GUARDS[name], "more_room", "") for name in in_use]
    return next(filter(None, advice), f"use --guard {guards.DEFAULT[0]}")
