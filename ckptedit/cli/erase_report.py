"""What `ckptedit erase` says of an erasure: for people on stderr, for programs as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ckptedit import guards
from ckptedit.guards import GUARDS

if TYPE_CHECKING:
    from ckptedit.erasure.erase import Erasure

LITTLE_ROOM = 0.03  # of the target's energy; below it, erasures were seen to fail


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
        "warnings": warnings(erasure),
    }


def summary(erasure: "Erasure") -> list[str]:
    """What a person wants to know, in a few lines."""
    request, effect = erasure.request, erasure.effect
    held = effect.protection
    names = ", ".join(f"{t.concept!r} ({t.kind}) to {t.anchor!r}" for t in request.targets)
    options = erasure.options
    in_use = ", ".join(options.guarded_by) or "no guard"
    how = f"{options.steps} steps under {in_use}" if options.trained else f"by {options.method}"
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
    return [*(f"warning: {warning}" for warning in warnings(erasure)), *lines]


def warnings(erasure: "Erasure") -> list[str]:
    """What was understood otherwise than written, and what is likely to disappoint."""
    found, held = list(erasure.request.notes), erasure.effect.protection
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
